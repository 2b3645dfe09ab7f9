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
from bedrock_emulator.families.conversation import check_conversation
from bedrock_emulator.families.family import Answer, BodyError, Context, Family, read_body
from bedrock_emulator.models.provisioned import Provisioned, ProvisionedApi
from bedrock_emulator.models.usable import check_usable
from bedrock_emulator.runtime.metadata import check_metadata
from bedrock_emulator.runtime.tiers import FLEX, Tiers
from bedrock_emulator.runtime.token_quota import TokenQuota, burnt_tokens
from bedrock_emulator.state.draws import body_digest, draw
from bedrock_emulator.state.paid_answers import request_digest
from bedrock_emulator.state.token_windows import Reservation
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.request_parsing import load_json
from bedrock_emulator.wire.serialization import dump

# The member of a result that has the number of the answer in the bill; it is not sent.
PAID_ANSWER = "@paid_answer"
# The error that a runtime call gets for the code of a scripted record error.
_ERRORS_BY_CODE = {
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
    """The model that answers a request.

    `provisioned` is set if the request names the ARN of a provisioned throughput; `billed_as` is
    the id or ARN that the request names.
    """

    family: Family
    context: Context
    provisioned: Provisioned | None
    billed_as: str
    region: str


class RuntimeApi:
    """The operations without streaming. `streams` splits their answers into events."""

    def __init__(self, world: EmulatorState, provisioned: ProvisionedApi) -> None:
        self._world = world
        self._provisioned = provisioned
        self._quota = TokenQuota(world)
        self._tiers = Tiers(world)

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer InvokeModel, with the token counts in headers."""
        started = time.monotonic()
        response, number = self.answer_body(params, region, "InvokeModel")
        latency = int((time.monotonic() - started) * 1000)
        return {
            "body": dump(response.body),
            "contentType": "application/json",
            "performanceConfigLatency": params.get("performanceConfigLatency"),
            "serviceTier": params.get("serviceTier"),
            "@headers": token_headers(response, latency),
            PAID_ANSWER: number,
        }

    def answer_body(
        self, params: dict[str, Any], region: str, operation: str
    ) -> tuple[Answer, int]:
        """Answer an InvokeModel request in the family's own format; return the bill's number, too.

        Raise ValidationException if the model is not served or refuses the body.
        """
        target = self.find_target(params["modelId"], region)
        check_metadata(params.get("requestMetadata"))
        body = load_json(params.get("body") or b"")
        try:
            checked = read_body(target.family, body)
            check_model_limits(target.context.model_id, body, is_converse=False)
        except BodyError as exc:
            raise invalid(exc.message) from exc
        prompt = target.family.prompt(checked) if target.family.prompt else None
        reserved_tokens = count_tokens(prompt.text) + prompt.max_tokens if prompt else 0
        digest = request_digest(body, is_converse=False)
        tier = self._tiers.enter(params, target.context.model_id)
        response = self._answer(
            target,
            body,
            reserved_tokens,
            lambda: target.family.answer(checked, target.context.for_body(body, waits=True)),
        )
        return response, self._bill(operation, target, digest, response, tier)

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer Converse, with the token counts in headers."""
        response, number = self.answer_conversation(params, region, "Converse")
        latency = response.body["metrics"]["latencyMs"]
        headers = token_headers(response, latency)
        tier = params.get("serviceTier")
        echo = {} if tier is None else {"serviceTier": tier}
        return {**response.body, **echo, "@headers": headers, PAID_ANSWER: number}

    def answer_conversation(
        self, params: dict[str, Any], region: str, operation: str
    ) -> tuple[Answer, int]:
        """Answer a Converse request; return the bill's number, too.

        Raise ValidationException if the model is not served, has no Converse or refuses the body.
        """
        target = self.find_target(params["modelId"], region)
        if not target.family.has_converse:
            raise invalid("This action doesn't support the model that you provided.")
        body = {name: value for name, value in params.items() if name != "modelId"}
        try:
            check_conversation(body, target.context.model_id)
            check_model_limits(target.context.model_id, body, is_converse=True)
        except BodyError as exc:
            raise invalid(exc.message) from exc
        try:
            prompt = converse.prompt_of(body)
        except PromptError as exc:
            raise invalid(exc.message) from exc
        reserved_tokens = count_tokens(prompt.text) + prompt.max_tokens
        digest = request_digest(body, is_converse=True)
        tier = self._tiers.enter(params, target.context.model_id)
        response = self._answer(
            target,
            body,
            reserved_tokens,
            lambda: converse.answer(body, target.context.for_body(body, waits=True)),
        )
        return response, self._bill(operation, target, digest, response, tier)

    def find_target(self, model_id: str, region: str) -> Target:
        """Return the model that a request names; provisioned throughput must be ready."""
        item = None
        billed_as = model_id
        if ":provisioned-model/" in model_id:
            item = self._provisioned.find_ready(model_id)
            model_id = item.model_arn
        ref = self._world.profiles.resolve(model_id, region)
        if item is None:
            check_usable(self._world, model_id, ref.base_model_id)
        context = Context(ref.base_model_id, self._world.backend, self._world.answers)
        return Target(ref.family, context, item, billed_as, region)

    def _answer(self, target: Target, body: Any, reserved_tokens: int, answer: Any) -> Answer:
        rules = RecordRules(self._world.faults.current.records, self._world.faults.seed)
        fault = rules.permanent(body_digest(body)) if rules.rules else None
        if fault is not None:
            code = _ERRORS_BY_CODE.get(fault.code, "InternalServerException")
            raise ServiceError(code, fault.message or "The model cannot process this request.")
        reservation: Reservation | None
        if target.provisioned is not None:
            reservation = self._provisioned.reserve(target.provisioned, reserved_tokens)
        else:
            reservation = self._quota.reserve(target.billed_as, target.region, reserved_tokens)
        self._wait_for_thinking(body)
        try:
            response: Answer = answer()
        except PromptError as exc:
            raise invalid(exc.message) from exc
        used = response.input_tokens, response.output_tokens
        if reservation is not None:
            is_bought = target.provisioned is not None
            reservation.tokens = (
                sum(used) if is_bought else burnt_tokens(target.context.model_id, *used)
            )
        return response

    def _bill(
        self, operation: str, target: Target, digest: bytes, response: Answer, tier: str | None
    ) -> int:
        used = response.input_tokens, response.output_tokens
        return self._world.usage.bill_call(
            operation, target.billed_as, digest, *used, is_flex=tier == FLEX
        )

    def _wait_for_thinking(self, body: Any) -> None:
        """Sleep as long as the fault script's `thinking` says, in real seconds."""
        thinking = self._world.faults.current.thinking
        if thinking.most_seconds:
            drawn = draw(self._world.faults.seed, "thinking", body_digest(body))
            time.sleep(
                thinking.least_seconds + drawn * (thinking.most_seconds - thinking.least_seconds)
            )


def token_headers(response: Answer, latency_ms: int) -> list[tuple[str, str]]:
    """Return the headers that report latency and usage. The service model does not list them."""
    return [
        ("x-amzn-bedrock-invocation-latency", str(latency_ms)),
        ("x-amzn-bedrock-input-token-count", str(response.input_tokens)),
        ("x-amzn-bedrock-output-token-count", str(response.output_tokens)),
    ]
