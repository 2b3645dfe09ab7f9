"""InvokeModel and Converse: one request, one answer, on demand or on provisioned throughput."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from bedrock_emulator.answers.prompt import CacheTokens, PromptError
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.batch.records import RecordRules
from bedrock_emulator.errors import ServiceError, invalid
from bedrock_emulator.families.family import Answer, Context
from bedrock_emulator.models.provisioned import ProvisionedApi
from bedrock_emulator.models.usable import check_usable
from bedrock_emulator.runtime.guardrails import Guard, Guardrails
from bedrock_emulator.runtime.metadata import check_metadata
from bedrock_emulator.runtime.prompt_cache import Caching, PromptCache
from bedrock_emulator.runtime.questions import (
    Question,
    Target,
    blob,
    question_of_body,
    question_of_conversation,
)
from bedrock_emulator.runtime.tiers import FLEX, Tiers
from bedrock_emulator.runtime.token_quota import TokenQuota, burnt_tokens, provisioned_tokens
from bedrock_emulator.state.draws import body_digest, draw
from bedrock_emulator.state.token_windows import Reservation
from bedrock_emulator.state.usage import CallTokens
from bedrock_emulator.state.world import EmulatorState
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
class Call:
    """A request that was let in: what answers it, and what it takes from a quota of tokens.

    caching: set if the model has a prompt cache
    """

    operation: str
    question: Question
    context: Context
    guard: Guard | None
    is_flex: bool
    reservation: Reservation | None
    caching: Caching | None

    def settle_quota(self, tokens: CallTokens) -> None:
        """Put the used tokens in the place of the reserved ones."""
        if self.reservation is None:
            return
        target = self.question.target
        self.reservation.tokens = (
            provisioned_tokens(tokens)
            if target.provisioned is not None
            else burnt_tokens(target.context.model_id, tokens)
        )


class RuntimeApi:
    """The operations without streaming, and what those with streaming share with them."""

    def __init__(
        self, world: EmulatorState, provisioned: ProvisionedApi, guardrails: Guardrails
    ) -> None:
        self._world = world
        self._provisioned = provisioned
        self._quota = TokenQuota(world)
        self._tiers = Tiers(world)
        self._cache = PromptCache(world.clock)
        self._guardrails = guardrails

    def invoke(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer InvokeModel, with the token counts in headers."""
        started = time.monotonic()
        call = self.admit_body(params, region, "InvokeModel")
        response = self._answer(call)
        body = response.body if call.guard is None else call.guard.mark_chunk(response.body)
        latency = int((time.monotonic() - started) * 1000)
        return {
            "body": dump(body),
            "contentType": "application/json",
            "performanceConfigLatency": params.get("performanceConfigLatency"),
            "serviceTier": params.get("serviceTier"),
            "@headers": token_headers(response, latency),
            PAID_ANSWER: self.bill(call, _used(response)),
        }

    def converse(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer Converse, with the token counts in headers."""
        call = self.admit_conversation(params, region, "Converse")
        response = self._answer(call)
        if call.guard is not None:
            response = call.guard.mark_conversation(response)
        latency = response.body["metrics"]["latencyMs"]
        headers = token_headers(response, latency)
        names = ("serviceTier", "performanceConfig")
        echo = {name: params[name] for name in names if params.get(name) is not None}
        number = self.bill(call, _used(response))
        return {**response.body, **echo, "@headers": headers, PAID_ANSWER: number}

    def count_tokens(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Answer CountTokens with the input tokens that the same request would be billed for.

        Raise ValidationException if the model is not served, refuses the request or embeds texts.
        """
        target = self.find_target(params["modelId"], region, is_count=True)
        request = params["input"]
        if request.get("invokeModel") is not None:
            question = question_of_body(target, blob(request["invokeModel"].get("body")))
        else:
            question = question_of_conversation(target, request["converse"])
        if question.prompt is None:
            raise invalid("The provided model doesn't support counting tokens.")
        return {"inputTokens": count_tokens(question.prompt.text)}

    def admit_body(self, params: dict[str, Any], region: str, operation: str) -> Call:
        """Check a request in the family's own format.

        Raise ValidationException if the model is not served or refuses the body.
        """
        check_metadata(params.get("requestMetadata"))
        target = self.find_target(params["modelId"], region)
        question = question_of_body(target, params.get("body") or b"")
        guard = self._guardrails.find(
            params.get("guardrailIdentifier"), params.get("guardrailVersion")
        )
        return self._admit(question, guard, params, operation)

    def admit_conversation(self, params: dict[str, Any], region: str, operation: str) -> Call:
        """Check a Converse request.

        Raise ValidationException if the model is not served, has no Converse or refuses the body.
        """
        target = self.find_target(params["modelId"], region)
        question = question_of_conversation(
            target, {name: value for name, value in params.items() if name != "modelId"}
        )
        config = params.get("guardrailConfig") or {}
        guard = self._guardrails.find(
            config.get("guardrailIdentifier"), config.get("guardrailVersion")
        )
        return self._admit(question, guard, params, operation)

    def _admit(
        self, question: Question, guard: Guard | None, params: dict[str, Any], operation: str
    ) -> Call:
        """Let a request in, or raise the error that it gets; wait as long as the scripts say."""
        target, prompt = question.target, question.prompt
        context = target.context.for_body(question.body, waits=True)
        caching = self._cache.caching(
            context.backend,
            target.region,
            target.context.model_id,
            question.body,
            is_converse=question.is_converse,
        )
        if caching is not None:
            context = replace(context, backend=caching)
        if guard is not None:
            context = guard.context(context)
        reserved_tokens = count_tokens(prompt.text) + prompt.max_tokens if prompt else 0
        tier = self._tiers.enter(params, target.context.model_id)
        rules = RecordRules(self._world.faults.current.records, self._world.faults.seed)
        fault = rules.permanent(body_digest(question.body)) if rules.rules else None
        if fault is not None:
            code = _ERRORS_BY_CODE.get(fault.code, "InternalServerException")
            raise ServiceError(code, fault.message or "The model cannot process this request.")
        reservation: Reservation | None
        if target.provisioned is not None:
            reservation = self._provisioned.reserve(target.provisioned, reserved_tokens)
        else:
            reservation = self._quota.reserve(target.billed_as, target.region, reserved_tokens)
        self._wait_for_thinking(question.body)
        return Call(operation, question, context, guard, tier == FLEX, reservation, caching)

    def _answer(self, call: Call) -> Answer:
        try:
            response = call.question.answer(call.context)
        except PromptError as exc:
            raise invalid(exc.message) from exc
        call.settle_quota(_used(response))
        return response

    def bill(self, call: Call, tokens: CallTokens) -> int:
        """Bill an answer; return its number in the bill."""
        question = call.question
        return self._world.usage.bill_call(
            call.operation,
            question.target.billed_as,
            question.digest,
            tokens,
            is_flex=call.is_flex,
        )

    def bill_tokens(self, call: Call, tokens: CallTokens) -> None:
        """Add the tokens of an answer that was billed without them, when its stream has ended."""
        call.settle_quota(tokens)
        self._world.usage.add_tokens(call.question.target.billed_as, tokens, is_flex=call.is_flex)

    def lose(self, number: int) -> None:
        """Note that the caller did not get the answer with this number in the bill."""
        self._world.usage.mark_lost(number)

    def find_target(self, model_id: str, region: str, *, is_count: bool = False) -> Target:
        """Return the model that a request names; provisioned throughput must be ready."""
        item = None
        billed_as = model_id
        if ":provisioned-model/" in model_id:
            item = self._provisioned.find_ready(model_id)
            model_id = item.model_arn
        ref = self._world.profiles.resolve(model_id, region)
        if item is None:
            check_usable(self._world, model_id, ref.base_model_id, is_count=is_count)
        context = Context(ref.base_model_id, self._world.backend, self._world.answers)
        return Target(ref.family, context, item, billed_as, region)

    def _wait_for_thinking(self, body: Any) -> None:
        """Sleep as long as the fault script's `thinking` says, in real seconds."""
        thinking = self._world.faults.current.thinking
        if thinking.most_seconds:
            drawn = draw(self._world.faults.seed, "thinking", body_digest(body))
            time.sleep(
                thinking.least_seconds + drawn * (thinking.most_seconds - thinking.least_seconds)
            )


def token_headers(response: Answer, latency_ms: int) -> list[tuple[str, str]]:
    """Return the headers that report latency and usage. The service model does not list them.

    Users publish those of the prompt cache for models that have one, also if no prefix is marked.
    """
    counts = {
        "invocation-latency": latency_ms,
        "input-token-count": response.input_tokens,
        "output-token-count": response.output_tokens,
    }
    if response.cache is not None:
        counts["cache-read-input-token-count"] = response.cache.read
        counts["cache-write-input-token-count"] = response.cache.written
    return [(f"x-amzn-bedrock-{name}", str(count)) for name, count in counts.items()]


def _used(response: Answer) -> CallTokens:
    return used_tokens(response.input_tokens, response.output_tokens, response.cache)


def used_tokens(input_tokens: int, output_tokens: int, cache: CacheTokens | None) -> CallTokens:
    """Return the tokens of an answer, as they are billed."""
    cache = cache or CacheTokens()
    return CallTokens(input_tokens, output_tokens, cache.read, cache.written_5m, cache.written_1h)
