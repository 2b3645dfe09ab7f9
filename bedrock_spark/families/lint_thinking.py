"""The rules of the linter about thinking, and about answers that the request begins itself.

Sources: claude_models.py; Amazon Bedrock user guide, "Extended thinking" (the smallest budget, the
budget below max_tokens, no other samplers, no prefill); Nova 2 user guide, "Extended thinking in
Amazon Nova 2" (high effort takes no temperature, topP and maxTokens; no prefill).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedrock_spark.families.claude_models import claude_model
from bedrock_spark.families.json_members import at
from bedrock_spark.families.lint_body import Body, Fault, Rule, is_open, options_of
from bedrock_spark.families.text_places import messages

_LEAST_BUDGET = 1_024
_LEAST_TOP_P = 0.95


def _thinking_with_converse(body: Body) -> Fault:
    # Every record of a job failed: "extraneous key [thinking] is not permitted" (public code).
    extra = body.body.get("additionalModelRequestFields")
    if not body.is_converse or not isinstance(extra, Mapping) or "thinking" not in extra:
        return None
    return [body.path("additionalModelRequestFields", "thinking")], (
        "batch inference refuses it in records of the Converse type; leave out invocation: "
        "converse, and set request.thinking or write the model's own body"
    )


def _kind(body: Body) -> Fault:
    model, (place, thinking) = claude_model(body.model_id), _thinking(body)
    kind = thinking.get("type")
    if model is None or kind is None or is_open(kind):
        return None
    places = [f"{place}.type"]
    if not model.thinks:
        return [place], "this model does not think; remove it"
    if kind == "enabled" and not model.takes_budget:
        return places, "this model takes no budget; write adaptive, and output_config.effort"
    if kind == "adaptive" and not model.takes_effort:
        return places, "this model takes a budget only; write enabled, and budget_tokens"
    if kind == "disabled" and (model.always_thinks or (4, 7) <= model.version < (5, 0)):
        return places, "this model refuses it; leave thinking out"
    return None


def _budget(body: Body) -> Fault:
    place, thinking = _thinking(body)
    budget, most = thinking.get("budget_tokens"), body.body.get("max_tokens")
    if type(budget) is not int or claude_model(body.model_id) is None:
        return None
    places = [f"{place}.budget_tokens"]
    if budget < _LEAST_BUDGET:
        return places, f"is less than {_LEAST_BUDGET:,}, the smallest budget"
    if type(most) is int and most <= budget:
        return [*places, body.path("max_tokens")], (
            f"thinking may take {budget:,} tokens, and the answer gets what is left of max_tokens, "
            f"which is {most:,}; set max_tokens to more than {budget:,}"
        )
    return None


def _samplers(body: Body) -> Fault:
    model, (place, options) = claude_model(body.model_id), options_of(body)
    if model is not None:
        # Newer models refuse samplers, whether they think or not: another rule says so.
        if model.refuses_samplers or not asks_to_think(body):
            return None
        keys = [key for key in ("temperature", "top_p", "top_k") if _bends(key, options)]
        message = (
            "cannot be used while the model thinks: temperature must be 1, top_p at least "
            f"{_LEAST_TOP_P}, and top_k left out"
        )
    else:
        reasoning = options.get("reasoningConfig")
        if not isinstance(reasoning, Mapping) or reasoning.get("maxReasoningEffort") != "high":
            return None
        keys = [k for k in ("maxTokens", "temperature", "topP") if options.get(k) is not None]
        message = "cannot be used with high effort; leave it out"
    return ([f"{place}.{key}" for key in keys], message) if keys else None


def _prefill(body: Body) -> Fault:
    said = messages(body.body)
    if not said or said[-1].get("role") != "assistant":
        return None
    model = claude_model(body.model_id)
    # Claude docs, "Structured outputs": incompatible with a prefilled answer.
    has_format = at(body.body, "output_config", "format") is not None
    refuses = model is not None and (model.refuses_prefill or has_format)
    if not asks_to_think(body) and not refuses:
        return None
    return [body.path(f"messages[{len(said) - 1}]", "role")], (
        "this model refuses to go on with a text of the assistant; end with a message of the user"
    )


THINKING_RULES: dict[str, Rule] = {
    "thinking": _thinking_with_converse,
    "thinking-kind": _kind,
    "thinking-budget": _budget,
    "thinking-samplers": _samplers,
    "prefill": _prefill,
}


def _thinking(body: Body) -> tuple[str, Mapping[str, Any]]:
    """Return the key path and the members of Claude's `thinking`, of its own body."""
    value = body.body.get("thinking")
    return body.path("thinking"), value if isinstance(value, Mapping) else {}


def asks_to_think(body: Body) -> bool:
    """Tell whether a body asks Claude or Nova to think."""
    _, thinking = _thinking(body)
    reasoning = options_of(body)[1].get("reasoningConfig")
    is_nova = isinstance(reasoning, Mapping) and reasoning.get("type") == "enabled"
    return is_nova or thinking.get("type") in ("enabled", "adaptive")


def _bends(key: str, options: Mapping[str, Any]) -> bool:
    """Tell whether a sampler has a value that a thinking Claude refuses."""
    value = options.get(key)
    if value is None or is_open(value):
        return False
    if key == "top_p" and isinstance(value, (int, float)):
        return value < _LEAST_TOP_P
    return not (key == "temperature" and value == 1)
