"""InvokeModel and Converse: one request, one answer, on demand or on provisioned throughput."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import Prompt, PromptError
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.batch.records import RecordRules
from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.families import converse
from bedrock_emulator.families.batch_rules import check_model_limits
from bedrock_emulator.families.conversation import check_conversation
from bedrock_emulator.families.family import Answer, BodyError, Context, Family, read_body
from bedrock_emulator.models.provisioned import Provisioned, ProvisionedApi
from bedrock_emulator.models.usable import check_usable
from bedrock_emulator.runtime.guardrails import Guard, Guardrails
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


@dataclass(frozen=True)
class _Question:
    """A request that the model accepts.

    prompt: None for embeddings and images; digest: of the body, for the bill
    """

    target: Target
    body: Any
    prompt: Prompt | None
    digest: bytes
    answer: Callable[[Context], Answer]


def _question_of_body(target: Target, raw: bytes) -> _Question:
    """Read the body of InvokeModel. Raise ValidationException if the model refuses it."""
    body = load_json(raw)
    family = target.family
    try:
        checked = read_body(family, body)
        check_model_limits(target.context.model_id, body, is_converse=False)
    except BodyError as exc:
        raise invalid(exc.message) from exc
    return _Question(
        target,
        body,
        family.prompt(checked) if family.prompt else None,
        request_digest(body, is_converse=False),
        lambda context: family.answer(checked, context),
    )


def _blob(text: str | None) -> bytes:
    """Return a blob inside JSON, where it is base64."""
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError as exc:
        raise invalid("The body must be base64.") from exc


def _question_of_conversation(target: Target, body: dict[str, Any]) -> _Question:
    """Read a Converse request. Raise ValidationException if the model refuses it."""
    if not target.family.has_converse:
        raise invalid("This action doesn't support the model that you provided.")
    try:
        check_conversation(body, target.context.model_id)
        check_model_limits(target.context.model_id, body, is_converse=True)
        prompt = converse.prompt_of(body)
    except (BodyError, PromptError) as exc:
        raise invalid(exc.message) from exc
    return _Question(
        target,
        body,
        prompt,
        request_digest(body, is_converse=True),
        lambda context: converse.answer(body, context),
    )


class RuntimeApi:
    """The operations without streaming. `streams` splits their answers into events."""

    def __init__(
        self, world: EmulatorState, provisioned: ProvisionedApi, guardrails: Guardrails
    ) -> None:
        self._world = world
        self._provisioned = provisioned
        self._quota = TokenQuota(world)
        self._tiers = Tiers(world)
        self._guardrails = guardrails

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
        check_metadata(params.get("requestMetadata"))
        target = self.find_target(params["modelId"], region)
        question = _question_of_body(target, params.get("body") or b"")
        guard = self._guardrails.find(
            params.get("guardrailIdentifier"), params.get("guardrailVersion")
        )
        response, number = self._ask(question, guard, params, operation)
        return (response if guard is None else guard.mark_body(response)), number

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer Converse, with the token counts in headers."""
        response, number = self.answer_conversation(params, region, "Converse")
        latency = response.body["metrics"]["latencyMs"]
        headers = token_headers(response, latency)
        names = ("serviceTier", "performanceConfig")
        echo = {name: params[name] for name in names if params.get(name) is not None}
        return {**response.body, **echo, "@headers": headers, PAID_ANSWER: number}

    def answer_conversation(
        self, params: dict[str, Any], region: str, operation: str
    ) -> tuple[Answer, int]:
        """Answer a Converse request; return the bill's number, too.

        Raise ValidationException if the model is not served, has no Converse or refuses the body.
        """
        target = self.find_target(params["modelId"], region)
        question = _question_of_conversation(
            target, {name: value for name, value in params.items() if name != "modelId"}
        )
        config = params.get("guardrailConfig") or {}
        guard = self._guardrails.find(
            config.get("guardrailIdentifier"), config.get("guardrailVersion")
        )
        response, number = self._ask(question, guard, params, operation)
        return (response if guard is None else guard.mark_conversation(response)), number

    def count_tokens(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer CountTokens with the input tokens that the same request would be billed for.

        Raise ValidationException if the model is not served, refuses the request or embeds texts.
        """
        target = self.find_target(params["modelId"], region)
        request = params["input"]
        if request.get("invokeModel") is not None:
            question = _question_of_body(target, _blob(request["invokeModel"].get("body")))
        else:
            question = _question_of_conversation(target, request["converse"])
        if question.prompt is None:
            raise invalid("The provided model doesn't support counting tokens.")
        return {"inputTokens": count_tokens(question.prompt.text)}

    def _ask(
        self, question: _Question, guard: Guard | None, params: dict[str, Any], operation: str
    ) -> tuple[Answer, int]:
        """Return the answer, and its number in the bill."""
        target, prompt = question.target, question.prompt
        context = target.context.for_body(question.body, waits=True)
        if guard is not None:
            context = guard.context(context)
        reserved_tokens = count_tokens(prompt.text) + prompt.max_tokens if prompt else 0
        tier = self._tiers.enter(params, target.context.model_id)
        response = self._answer(
            target, question.body, reserved_tokens, lambda: question.answer(context)
        )
        return response, self._bill(operation, target, question.digest, response, tier)

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
