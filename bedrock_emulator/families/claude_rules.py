"""What a Claude model refuses, by the version in its id: samplers, prefill, kinds of thinking.

Messages are those that users quote. https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
says which versions take which thinking.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_emulator.families.claude_thoughts import check_thoughts
from bedrock_emulator.families.family import BodyError

_NUMBERS = re.compile(r"(?<![\dv])(\d{1,2})(?:-(\d{1,2}))?(?!\d)")
_NEW = (1000, 0)
_PREFILL = (
    "This model does not support assistant message prefill. The conversation must end with a user "
    "message."
)
_NO_BUDGET = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)


def version_of(model_id: str) -> tuple[int, int] | None:
    """Return the version of a Claude model, such as (4, 7); None for any other model.

    A model whose id has no version counts as new; the first ones count as version 2.
    """
    name = model_id.removeprefix("anthropic.claude-")
    if name == model_id:
        return None
    if re.match(r"v\d|instant", name):
        return 2, 0
    found = _NUMBERS.search(name)
    return (int(found[1]), int(found[2] or 0)) if found else _NEW


def hides_thinking(model_id: str) -> bool:
    """Tell whether a model leaves the text of its thinking out."""
    return (version_of(model_id) or (0, 0)) >= (4, 7)


def check_claude(
    model_id: str, body: dict[str, Any], config: dict[str, Any], thinking: dict[str, Any]
) -> None:
    """Raise BodyError if a Claude model refuses a body.

    config: the member that holds the samplers; thinking: that of the body, or {}
    """
    version = version_of(model_id)
    if version is None:
        return
    _check_samplers(version, config, thinking)
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else {}
    is_prefilled = isinstance(last, dict) and last.get("role") == "assistant"
    if is_prefilled and (version >= (4, 6) or _is_on(thinking)):
        raise BodyError(_PREFILL)
    _check_thinking(version, thinking)
    check_thoughts(messages, thinking)
    choice = body.get("tool_choice")
    is_forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
    if is_forced and _is_on(thinking):
        raise BodyError("Thinking may not be enabled when tool_choice forces tool use.")


def _check_samplers(
    version: tuple[int, int], config: dict[str, Any], thinking: dict[str, Any]
) -> None:
    temperature, top_k = config.get("temperature"), config.get("top_k")
    top_p = config.get("top_p", config.get("topP"))
    samplers = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    given = [name for name, value in samplers.items() if value is not None]
    if given and version >= (4, 7):
        raise BodyError(f"`{given[0]}` is deprecated for this model.")
    if temperature is not None and top_p is not None and version >= (4, 1):
        raise BodyError(
            "`temperature` and `top_p` cannot both be specified for this model. "
            "Please use only one."
        )
    if not _is_on(thinking):
        return
    if temperature not in (None, 1):
        raise BodyError("`temperature` may only be set to 1 when thinking is enabled.")
    if top_k is not None:
        raise BodyError("`top_k` must be unset when thinking is enabled.")
    if isinstance(top_p, (int, float)) and top_p < 0.95:
        raise BodyError("`top_p` must be greater than or equal to 0.95 when thinking is enabled.")


def _check_thinking(version: tuple[int, int], thinking: dict[str, Any]) -> None:
    kind = thinking.get("type")
    if kind is None:
        return
    if version < (3, 7):
        raise BodyError("thinking: Extra inputs are not permitted")
    if kind == "enabled" and version >= (4, 7):
        raise BodyError(_NO_BUDGET)
    if kind == "adaptive" and version < (4, 6):
        raise BodyError("adaptive thinking is not supported on this model")
    if kind == "disabled" and (4, 7) <= version < (5, 0):
        raise BodyError('"thinking.type.disabled" is not supported for this model.')


def _is_on(thinking: dict[str, Any]) -> bool:
    return thinking.get("type") in ("enabled", "adaptive")
