"""InvokeModel and Converse: one request, one answer, on demand or on provisioned throughput."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import PromptError
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.batch.records import RecordRules
from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.families import converse
from bedrock_emulator.families.batch_rules import check_model_limits
from bedrock_emulator.families.family import Answer, BodyError, Context, Family, read_body
from bedrock_emulator.models.provisioned import Provisioned, ProvisionedApi
from bedrock_emulator.state.draws import body_digest, draw
from bedrock_emulator.state.world import World
from bedrock_emulator.wire.request_parsing import load_json
from bedrock_emulator.wire.serialization import dump

_CODES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


@dataclass(frozen=True)
class Target:
    """The model behind a request; `provisioned` when it was asked for by such an ARN."""

    family: Family
    context: Context
    provisioned: Provisioned | None
    billed_as: str


class RuntimeApi:
    """The runtime operations without streaming; `streams` cuts their answers into events."""

    def __init__(self, world: World, provisioned: ProvisionedApi) -> None:
        self._world = world
        self._provisioned = provisioned

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        started = time.monotonic()
        answered = self.answer_body(params, region)[1]
        latency = int((time.monotonic() - started) * 1000)
        return {
            "body": dump(answered.body),
            "contentType": "application/json",
            "performanceConfigLatency": params.get("performanceConfigLatency"),
            "serviceTier": params.get("serviceTier"),
            "@headers": token_headers(answered, latency),
        }

    def answer_body(self, params: dict[str, Any], region: str) -> tuple[Target, Answer]:
        """Answer an InvokeModel body in the family's own format."""
        target = self.target(params["modelId"], region)
        body = load_json(params.get("body") or b"")
        try:
            checked = read_body(target.family, body)
            check_model_limits(target.context.model_id, body, is_converse=False)
        except BodyError as exc:
            raise invalid(exc.message) from exc
        prompt = target.family.prompt(checked) if target.family.prompt else None
        reserved = count_tokens(prompt.text) + prompt.max_tokens if prompt else 0
        return target, self._answer(
            target, body, reserved, lambda: target.family.answer(checked, target.context)
        )

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        _, answered = self.answer_conversation(params, region)
        latency = answered.body["metrics"]["latencyMs"]
        return {**answered.body, "@headers": token_headers(answered, latency)}

    def answer_conversation(self, params: dict[str, Any], region: str) -> tuple[Target, Answer]:
        """Answer a Converse request."""
        target = self.target(params["modelId"], region)
        if not target.family.has_converse:
            raise invalid("This action doesn't support the model that you provided.")
        body = {name: value for name, value in params.items() if name != "modelId"}
        try:
            converse.check_conversation(body)
            check_model_limits(target.context.model_id, body, is_converse=True)
        except BodyError as exc:
            raise invalid(exc.message) from exc
        try:
            prompt = converse.prompt_of(body)
        except PromptError as exc:
            raise invalid(exc.message) from exc
        reserved = count_tokens(prompt.text) + prompt.max_tokens
        return target, self._answer(
            target, body, reserved, lambda: converse.answer(body, target.context)
        )

    def target(self, model_id: str, region: str) -> Target:
        """Return the model to ask; a provisioned one must be ready."""
        item = None
        billed_as = model_id
        if ":provisioned-model/" in model_id:
            item = self._provisioned.ready(model_id)
            model_id = item.model_arn
        ref = self._world.profiles.resolve(model_id, region)
        context = Context(ref.base_model_id, self._world.backend)
        return Target(ref.family, context, item, billed_as)

    def _answer(self, target: Target, body: Any, reserved: int, answer: Any) -> Answer:
        rules = RecordRules(self._world.faults.current.records, self._world.faults.seed)
        fault = rules.permanent(body_digest(body)) if rules.rules else None
        if fault is not None:
            code = _CODES.get(fault.code, "InternalServerException")
            raise ServiceError(code, fault.message or "The model cannot process this request.")
        spent = None
        if target.provisioned is not None:
            spent = self._provisioned.spend(target.provisioned, reserved)
        self._think(body)
        try:
            answered: Answer = answer()
        except PromptError as exc:
            raise invalid(exc.message) from exc
        if spent is not None:
            spent.tokens = answered.input_tokens + answered.output_tokens
        self._world.usage.bill_invocation(
            target.billed_as, answered.input_tokens, answered.output_tokens
        )
        return answered

    def _think(self, body: Any) -> None:
        takes = self._world.faults.current.thinking
        if takes.most_seconds:
            drawn = draw(self._world.faults.seed, "thinking", body_digest(body))
            time.sleep(takes.least_seconds + drawn * (takes.most_seconds - takes.least_seconds))


def token_headers(answered: Answer, latency_ms: int) -> list[tuple[str, str]]:
    """Return the headers InvokeModel reports usage in, which the service model does not list."""
    return [
        ("x-amzn-bedrock-invocation-latency", str(latency_ms)),
        ("x-amzn-bedrock-input-token-count", str(answered.input_tokens)),
        ("x-amzn-bedrock-output-token-count", str(answered.output_tokens)),
    ]
