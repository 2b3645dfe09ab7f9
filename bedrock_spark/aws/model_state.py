"""What the service says of a model: how long it is offered, and whether the account may use it.

GetFoundationModel and GetFoundationModelAvailability answer. A run works without them: if the
caller has no permission, or the service does not know the model, nothing is known of it, and the
reason is a debug line. The times and states are those of botocore's service model (1.44.8).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.clients import AwsSettings, model_client
from bedrock_spark.aws.errors import AWS_FAILURES, error_code
from bedrock_spark.aws.model_family import base_in_arn
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.families import bare_model_id

log = logging.getLogger(__name__)

LEGACY = "LEGACY"


@dataclass(frozen=True)
class ModelState:
    """What the service says of one foundation model in one Region.

    model_id: of the foundation model, without geography
    status: ACTIVE or LEGACY
    legacy_at, extended_access_at, ends_at: seconds since the epoch; None if not announced
    lacks: what keeps the account from using it, each as a text that says what to do
    """

    model_id: str
    region: str
    status: str = "ACTIVE"
    legacy_at: float | None = None
    extended_access_at: float | None = None
    ends_at: float | None = None
    lacks: tuple[str, ...] = ()


def ask_model_state(aws: AwsSettings, model_id: str) -> ModelState | None:
    """Return what the service says of a model id or ARN; None if it says nothing.

    A profile and a custom model are as their foundation model. Whether the account may use it, and
    whether the Region has it, is asked for the ids of foundation models and of profiles only.
    """
    client = model_client(aws)
    try:
        foundation = foundation_model_of(client, model_id)
        if foundation is None:
            return None
        described = client.get_foundation_model(modelIdentifier=foundation)
    except AWS_FAILURES as exc:
        log.debug("%s: its life cycle is not known (%s)", model_id, error_code(exc))
        return None
    return described_state(
        foundation, aws.region or "", described, _what_lacks(client, model_id, foundation)
    )


def described_state(
    foundation: str, region: str, described: Mapping[str, Any], lacks: tuple[str, ...]
) -> ModelState:
    """Return the state of a foundation model from the reply of GetFoundationModel."""
    lifecycle = described.get("modelDetails", {}).get("modelLifecycle", {})
    return ModelState(
        model_id=foundation,
        region=region,
        status=str(lifecycle.get("status", "ACTIVE")),
        legacy_at=_seconds(lifecycle.get("legacyTime")),
        extended_access_at=_seconds(lifecycle.get("publicExtendedAccessTime")),
        ends_at=_seconds(lifecycle.get("endOfLifeTime")),
        lacks=lacks,
    )


def foundation_model_of(client: BedrockClient, model_id: str) -> str | None:
    """Return the id of the foundation model that an id or ARN stands for; None if it hides it."""
    if ":provisioned-model/" in model_id:
        reply = client.get_provisioned_model_throughput(provisionedModelId=model_id)
        return bare_model_id(str(reply["foundationModelArn"]))
    if ":application-inference-profile/" in model_id:
        reply = client.get_inference_profile(inferenceProfileIdentifier=model_id)
        arns = [str(m["modelArn"]) for m in reply.get("models", ()) if m.get("modelArn")]
        return bare_model_id(arns[0]) if arns else None
    if ":custom-model/" in model_id:
        return base_in_arn(model_id)
    bare = bare_model_id(model_id)
    return None if "/" in bare or "." not in bare else bare


def _what_lacks(client: BedrockClient, model_id: str, foundation: str) -> tuple[str, ...]:
    if ":provisioned-model/" in model_id or ":custom-model/" in model_id:
        return ()
    try:
        reply = client.get_foundation_model_availability(modelId=foundation)
    except AWS_FAILURES as exc:
        log.debug("%s: whether the account may use it is not known (%s)", model_id, error_code(exc))
        return ()
    return lacks_of(reply, model_id, is_plain=foundation == model_id.rsplit("/", 1)[-1])


def lacks_of(reply: Mapping[str, Any], model_id: str, *, is_plain: bool) -> tuple[str, ...]:
    """Return what a reply of GetFoundationModelAvailability lacks.

    is_plain: whether the id is the foundation model's own. A profile sends calls to other Regions
    """
    lacks = []
    agreement = reply.get("agreementAvailability", {}).get("status")
    if agreement in ("NOT_AVAILABLE", "ERROR"):
        # The first call begins the subscription by itself if the caller may subscribe: Amazon
        # Bedrock user guide, "Request access to models". A batch job is not such a call.
        lacks.append(
            f"the account has no agreement for it (agreementAvailability {agreement}); accept it "
            "in the Bedrock console, or call the model once with an identity that has "
            f'aws-marketplace:Subscribe: bedrock-spark invoke --model {model_id} "Hello"'
        )
    if reply.get("authorizationStatus") == "NOT_AUTHORIZED":
        lacks.append(
            "the account is not authorized to use it (authorizationStatus NOT_AUTHORIZED); ask the "
            "administrator of the organization, or open a support case"
        )
    if reply.get("entitlementAvailability") == "NOT_AVAILABLE":
        lacks.append(
            "the account has no access to it (entitlementAvailability NOT_AVAILABLE); request it "
            "in the model catalog of the Bedrock console"
        )
    if is_plain and reply.get("regionAvailability") == "NOT_AVAILABLE":
        lacks.append(
            "the Region does not have it (regionAvailability NOT_AVAILABLE); take another Region, "
            "or an inference profile of it"
        )
    return tuple(lacks)


def _seconds(value: dt.datetime | None) -> float | None:
    return None if value is None else value.timestamp()
