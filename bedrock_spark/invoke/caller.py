"""Send one body to a model, by InvokeModel or Converse, with one retry layer and a rate limit."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from bedrock_spark.aws.errors import AWS_FAILURES, invoke_error
from bedrock_spark.aws.protocols import Reply, RuntimeClient
from bedrock_spark.aws.retry import retry_invoke
from bedrock_spark.clock import Clock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.costs.call_use import UseCounter
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.errors import InvokeRecordError, InvokeThrottledError
from bedrock_spark.families import Family
from bedrock_spark.invoke.flex_tier import FlexTier, FlexWait
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.outputs.lines import replace_half_characters
from bedrock_spark.prices.call_prices import FLEX

_JSON = "application/json"
# The type of the error of an answer that cannot be read. It was given, and so it is billed.
NOT_JSON = "NotJson"


@dataclass(frozen=True)
class InvokeOptions:
    """Options of a call beside its body. An option that is None is not sent.

    guardrail: identifier and version
    metadata: names and values that invocation logs keep with the call
    """

    content_type: str = _JSON
    service_tier: str | None = None
    guardrail: tuple[str, str] | None = None
    performance: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    def of_invoke_model(self) -> dict[str, Any]:
        """Return the options as parameters of InvokeModel."""
        name, version = self.guardrail or (None, None)
        parameters = {
            "contentType": self.content_type,
            "accept": _JSON,
            "serviceTier": self.service_tier,
            "guardrailIdentifier": name,
            "guardrailVersion": version,
            "performanceConfigLatency": self.performance,
            # A JSON object: Amazon Bedrock user guide, "Per-request metadata tagging".
            "requestMetadata": json.dumps(dict(self.metadata)) if self.metadata else None,
        }
        return {k: v for k, v in parameters.items() if v is not None}

    def of_converse(self) -> dict[str, Any]:
        """Return the options as parameters of Converse, which has no content type: it is JSON."""
        parameters: dict[str, Any] = {}
        if self.service_tier is not None:
            parameters["serviceTier"] = {"type": self.service_tier}
        if self.guardrail is not None:
            name, version = self.guardrail
            guardrail = {"guardrailIdentifier": name, "guardrailVersion": version}
            parameters["guardrailConfig"] = guardrail
        if self.performance is not None:
            parameters["performanceConfig"] = {"latency": self.performance}
        if self.metadata:
            parameters["requestMetadata"] = dict(self.metadata)
        return parameters


class Answered(NamedTuple):
    """An answer as compact JSON, and the service tier that gave it, if the reply says so.

    counted: the tokens of request and answer by the headers of the reply; None for what they lack
    """

    output: bytes
    tier: str | None
    seconds: float = 0.0
    counted: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class ModelCaller:
    """Calls to one model. Safe to use from many threads.

    attempts: calls per record; those that were throttled, or met a model that is not ready, do not
        count
    until: no call is repeated after this time, in seconds since the epoch
    flex: sends calls to the flex tier while that serves them in time; None: all calls have the tier
        of the options
    counter: counts what answered calls use
    """

    client: RuntimeClient
    model_id: str
    family: Family
    limiter: RateLimiter
    clock: Clock
    attempts: int
    options: InvokeOptions = field(default_factory=InvokeOptions)
    estimate: TokenEstimate = field(default_factory=TokenEstimate)
    until: float | None = None
    flex: FlexTier | None = None
    counter: UseCounter = field(default_factory=UseCounter)

    def ask(self, body: bytes, limit: int | None = None) -> bytes:
        """Return the model's answer to a body, as compact JSON; see `answer`."""
        return self.answer(body, limit).output

    def answer(self, body: bytes, limit: int | None = None) -> Answered:
        """Return the model's answer to a body, and its tier.

        limit: the most tokens of the answer, if it is not the one of all other bodies
        Raises InvokeRetryableError if the attempts are used up, InvokeRecordError if the model does
        not accept this body, and InvokeRefusedError if it would accept no body.
        """
        wait, retry = FlexWait(self.clock.now()), retry_invoke
        return retry(self.clock, self.attempts, self.until)(self._ask_once, body, limit, wait)

    def _ask_once(self, body: bytes, limit: int | None, wait: FlexWait) -> Answered:
        expected, most = self.estimate.of(body, limit)
        reservation = self.limiter.acquire(expected, most)
        flex = self.flex if self.flex is not None and self.flex.takes(wait) else None
        options = self.options if flex is None else replace(self.options, service_tier=FLEX)
        began = self.clock.now()
        try:
            answered = self._call(body, options)
        except AWS_FAILURES as exc:
            error = invoke_error(exc)
            if flex is not None and flex.is_refused_by(error, wait):
                # The service did not carry the call out: the same attempt goes on at the default.
                self.limiter.release(reservation)
                return self._ask_once(body, limit, wait)
            counted = error if flex is None else flex.noted(error, wait)
            if isinstance(counted, InvokeThrottledError):
                # A busy flex tier says nothing about the quota, and calls at the default tier must
                # not slow down because of it. If the quota is the reason, those say so themselves.
                note = self.limiter.throttled if flex is None else self.limiter.release
                note(reservation)
            # `from None`: the text of the cause may quote the body.
            raise counted from None
        ended = self.clock.now()
        if flex is not None:
            flex.note_answer()
        elif self.flex is not None:
            self.flex.note_default_answer(wait)
        self.limiter.settle(reservation, self._used(body, answered, expected))
        return answered._replace(seconds=ended - began)

    def _call(self, body: bytes, options: InvokeOptions) -> Answered:
        if self.family.name == "converse":
            return self._converse(body, options)
        return self._invoke(body, options)

    def _invoke(self, body: bytes, options: InvokeOptions) -> Answered:
        parameters = options.of_invoke_model()
        if "requestMetadata" in parameters and not _takes_metadata(self.client):
            del parameters["requestMetadata"]
        reply = self.client.invoke_model(modelId=self.model_id, body=body, **parameters)
        try:
            output: bytes = msgspec.json.format(
                replace_half_characters(reply["body"].read()), indent=-1
            )
            msgspec.json.decode(output)
        except (msgspec.MsgspecError, RecursionError):
            raise InvokeRecordError(
                "the model's answer is not JSON", error_code=424, error_type=NOT_JSON
            ) from None
        return Answered(output, reply.get("serviceTier"), counted=_counted(reply))

    def _converse(self, body: bytes, options: InvokeOptions) -> Answered:
        reply = self.client.converse(**self.conversation(body, options))
        answer = {k: v for k, v in reply.items() if k != "ResponseMetadata"}
        tier = (reply.get("serviceTier") or {}).get("type")
        try:
            return Answered(msgspec.json.encode(answer), tier)
        except UnicodeEncodeError:  # half a surrogate pair: the model stopped within a character
            text = json.dumps(answer, default=msgspec.to_builtins).encode()
            return Answered(replace_half_characters(text), tier)

    def conversation(self, body: bytes, options: InvokeOptions | None = None) -> dict[str, Any]:
        """Return the arguments of a Converse or ConverseStream call for a body."""
        request = converse_request(self.client, body)
        return {**request, **(options or self.options).of_converse(), "modelId": self.model_id}

    def _used(self, body: bytes, answered: Answered, expected: int) -> int:
        """Return the quota tokens that a call used, and add its counts to the estimate.

        If the answer does not say, these are the `expected` tokens.
        """
        decoded = msgspec.json.decode(answered.output)
        if not isinstance(decoded, dict):
            return expected
        answer = self.family.read(decoded)
        used = expected
        if answer.input_tokens is not None or answer.output_tokens is not None:
            counted = answer.input_tokens or 0, answer.output_tokens or 0
            self.estimate.learn(body, *counted)
            used = self.estimate.used(*counted, answer.cache_read_tokens or 0)
        self.counter.add(answer, used, is_flex=answered.tier == FLEX)
        return used


def converse_request(client: RuntimeClient, body: bytes) -> dict[str, Any]:
    """Return a body as the arguments that boto3 takes for Converse, in which bytes are bytes."""
    shape = client.meta.service_model.operation_model("Converse").input_shape
    request: dict[str, Any] = _with_bytes(msgspec.json.decode(body), shape)
    return request


def _counted(reply: Reply) -> tuple[int | None, int | None]:
    """Return the counts in the headers of InvokeModel; None for 0, and if there are none.

    Some models count their tokens only there. The service model does not list these headers;
    public code (litellm) reads them.
    """
    headers = (reply.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    given, made = (
        headers.get(f"x-amzn-bedrock-{what}-token-count", "") for what in ("input", "output")
    )
    return (
        int(given) or None if given.isdecimal() else None,
        int(made) or None if made.isdecimal() else None,
    )


def _takes_metadata(client: RuntimeClient) -> bool:
    """Tell whether this botocore knows the metadata of InvokeModel; older ones refuse it."""
    model = client.meta.service_model.operation_model("InvokeModel")
    return "requestMetadata" in model.input_shape.members


def _with_bytes(value: Any, shape: Any) -> Any:
    """Decode base64 text to bytes if the service model says bytes: boto3 encodes them itself.

    A value that does not fit the service model is not changed; boto3 refuses it. Raises
    InvokeRecordError if the text is not base64.
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


def call_metadata(run_id: str, stage: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a run's calls, by which invocation logs tell runs apart.

    Both values have only characters that Converse takes: botocore's service model, RequestMetadata.
    """
    return ("bedrock-spark-run", run_id), ("bedrock-spark-stage", stage)


def invoke_options(config: FallbackConfig, run_id: str) -> InvokeOptions:
    """Return the options in the config of the fallback, for the calls of a run.

    With the tier `auto`, none is sent.
    """
    guardrail = config.guardrail
    return InvokeOptions(
        content_type=config.content_type,
        service_tier=None if config.service_tier == "auto" else config.service_tier,
        guardrail=(guardrail.id, guardrail.version) if guardrail else None,
        performance=config.performance,
        metadata=call_metadata(run_id, "fallback"),
    )
