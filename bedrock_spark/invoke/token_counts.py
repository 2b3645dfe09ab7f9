"""Ask the service how many input tokens bodies have. CountTokens answers nothing and costs nothing.

It knows some models only, by the ids of foundation models: Amazon Bedrock user guide, "Monitor your
token usage by counting tokens before running inference"
(https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html). A plan works without it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.aws.errors import AWS_FAILURES, error_code
from bedrock_spark.aws.protocols import RuntimeClient
from bedrock_spark.errors import InvokeRecordError
from bedrock_spark.families import Family
from bedrock_spark.invoke.caller import converse_request
from bedrock_spark.progress import Observer, Progress, ignore_progress

log = logging.getLogger(__name__)

_CONCURRENCY = 5
_READ_TIMEOUT_SECONDS = 60


def count_tokens(
    aws: AwsSettings,
    model_id: str,
    family: Family,
    bodies: Sequence[bytes],
    observe: Observer = ignore_progress,
) -> list[int | None] | None:
    """Return the input tokens of each body, None for one that the service does not count.

    model_id: of the foundation model, without geography
    Returns None if the first body is not counted: the model, the Region or the caller may not.
    """
    if not bodies:
        return None
    client = runtime_client(aws, _READ_TIMEOUT_SECONDS, _CONCURRENCY)
    first = _count(client, model_id, family, bodies[0])
    if first is None:
        return None
    counts: list[int | None] = [first]
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        for count in pool.map(lambda body: _count(client, model_id, family, body), bodies[1:]):
            counts.append(count)
            observe(Progress("tokens", len(counts), len(bodies), unit="requests"))
    return counts


def _count(client: RuntimeClient, model_id: str, family: Family, body: bytes) -> int | None:
    try:
        reply = client.count_tokens(modelId=model_id, input=_input(client, family, body))
    except (*AWS_FAILURES, InvokeRecordError) as exc:
        # The text of an error may quote the body.
        log.info("CountTokens of %s failed (%s): input tokens are estimated", model_id, _name(exc))
        return None
    return int(reply["inputTokens"])


def _name(exc: BaseException) -> str:
    return str(exc.error_type) if isinstance(exc, InvokeRecordError) else error_code(exc)


def _input(client: RuntimeClient, family: Family, body: bytes) -> dict[str, Any]:
    """Return the input of CountTokens: the body itself, or the counted part of a conversation."""
    if family.name != "converse":
        return {"invokeModel": {"body": body}}
    request = converse_request(client, body)
    shape = client.meta.service_model.operation_model("CountTokens").input_shape
    members = shape.members["input"].members["converse"].members
    return {"converse": {k: v for k, v in request.items() if k in members}}
