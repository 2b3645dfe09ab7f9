"""Ask a model once, by InvokeModel or Converse, with one layer of retries and one rate limit."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from bedrock_spark.aws_errors import AWS_FAILURES, invoke_error
from bedrock_spark.clock import Clock
from bedrock_spark.errors import InvokeRecordError
from bedrock_spark.families import Family
from bedrock_spark.outputs import whole_text
from bedrock_spark.rate_limit import RateLimiter
from bedrock_spark.retry import retry_invoke

# A rough measure for reserving tokens: the service itself counts the input and max_tokens when a
# call starts. Settled with the real count when the answer is there.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class ModelCaller:
    """Calls to one model. Safe to use from many threads."""

    client: Any
    model_id: str
    family: Family
    limiter: RateLimiter
    clock: Clock
    attempts: int

    def ask(self, body: bytes) -> bytes:
        """Return the model's answer to a body, as compact JSON.

        Raises InvokeRetryableError when the attempts are used up, InvokeRecordError for a body the
        model will not take, InvokeRefusedError when it would take none.
        """
        return retry_invoke(self.clock, self.attempts)(self._ask_once, body)

    def _ask_once(self, body: bytes) -> bytes:
        reserved = len(body) // _BYTES_PER_TOKEN
        self.limiter.acquire(reserved)
        try:
            output = self._converse(body) if self.family.name == "converse" else self._invoke(body)
        except AWS_FAILURES as exc:
            # `from None`: the cause's own text may hold the body.
            raise invoke_error(exc) from None
        self.limiter.settle(reserved, self._used(output, reserved))
        return output

    def _invoke(self, body: bytes) -> bytes:
        reply = self.client.invoke_model(
            modelId=self.model_id,
            body=body,
            contentType="application/json",
            accept="application/json",
        )
        try:
            output: bytes = msgspec.json.format(whole_text(reply["body"].read()), indent=-1)
            msgspec.json.decode(output)
        except (msgspec.MsgspecError, RecursionError):
            raise InvokeRecordError(
                "the model's answer is not JSON", error_code=424, error_type="NotJson"
            ) from None
        return output

    def _converse(self, body: bytes) -> bytes:
        reply = self.client.converse(**self.conversation(body))
        answer = {k: v for k, v in reply.items() if k != "ResponseMetadata"}
        try:
            return msgspec.json.encode(answer)
        except UnicodeEncodeError:  # half a character, where the model was cut off
            return whole_text(json.dumps(answer, default=msgspec.to_builtins).encode())

    def conversation(self, body: bytes) -> dict[str, Any]:
        """Return the arguments of a Converse or ConverseStream call for a body."""
        shape = self.client.meta.service_model.operation_model("Converse").input_shape
        return {**_with_bytes(msgspec.json.decode(body), shape), "modelId": self.model_id}

    def _used(self, output: bytes, reserved: int) -> int:
        decoded = msgspec.json.decode(output)
        if not isinstance(decoded, dict):
            return reserved
        answer = self.family.read(decoded)
        counted = [t for t in (answer.input_tokens, answer.output_tokens) if t is not None]
        return sum(counted) if counted else reserved


def _with_bytes(value: Any, shape: Any) -> Any:
    """Turn base64 text into bytes where the service model has bytes: boto3 encodes them itself.

    What does not fit the model is left for boto3 to refuse.
    """
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        members = shape.members
        return {k: _with_bytes(v, members[k]) if k in members else v for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_with_bytes(v, shape.member) for v in value]
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            raise InvokeRecordError(
                "the body has bytes that are not base64", error_code=400, error_type="NotBase64"
            ) from None
    return value
