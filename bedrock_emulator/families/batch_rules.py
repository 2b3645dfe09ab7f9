"""What a batch job refuses in a record though the runtime would take it.

Each rule was reported by somebody who ran real jobs; the record fails, the job goes on.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_emulator.families.family import BodyError

# Output tokens beyond these fail the record (reported for Llama 4 and Nova Micro).
_CEILINGS = (
    (re.compile(r"meta\.llama4.+"), 8_192),
    (re.compile(r"amazon\.nova-micro.+"), 10_000),
)
# Claude Haiku 4.5 and later take one of the two, in a batch as anywhere.
_ONE_SAMPLER = re.compile(r"anthropic\.claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9])(-.*)?")


class RecordRefusedError(Exception):
    """A record refused with another code than 400."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def check_batch_record(model_id: str, body: dict[str, Any], *, is_converse: bool) -> None:
    """Raise BodyError (400) or RecordRefusedError for what batch inference does not do."""
    if _has_key(body, "cachePoint" if is_converse else "cache_control"):
        raise RecordRefusedError(403, "You do not have access to explicit prompt caching")
    if is_converse and body.get("toolConfig"):
        raise BodyError("Tool use is not supported for records of the Converse type.")
    extra = body.get("additionalModelRequestFields") if is_converse else None
    if isinstance(extra, dict) and "thinking" in extra:
        raise BodyError("Malformed input request: #: extraneous key [thinking] is not permitted")
    check_model_limits(model_id, body, is_converse=is_converse)


def check_model_limits(model_id: str, body: dict[str, Any], *, is_converse: bool) -> None:
    """Raise BodyError for parameters that this one model refuses, in a batch or not."""
    config = (body.get("inferenceConfig") or {}) if is_converse else body
    _check_samplers(model_id, config)
    _check_ceiling(model_id, body, config)


def _check_samplers(model_id: str, config: dict[str, Any]) -> None:
    top_p = config.get("top_p", config.get("topP"))
    both = config.get("temperature") is not None and top_p is not None
    if both and _ONE_SAMPLER.fullmatch(model_id):
        raise BodyError(
            "`temperature` and `top_p` cannot both be specified for this model. "
            "Please use only one."
        )


def _check_ceiling(model_id: str, body: dict[str, Any], config: dict[str, Any]) -> None:
    nested = body.get("inferenceConfig") or {}
    names = ("maxTokens", "max_tokens", "max_new_tokens", "max_gen_len")
    asked = [part[name] for part in (config, nested) for name in names if part.get(name)]
    for models, ceiling in _CEILINGS:
        if models.fullmatch(model_id) and any(tokens > ceiling for tokens in asked):
            raise BodyError(
                f"The maximum tokens you requested exceeds the model limit of {ceiling}."
            )


def _has_key(value: Any, key: str) -> bool:
    """Say whether an object anywhere in a body's messages or system prompt has this key."""
    waiting = [value.get("messages"), value.get("system"), value.get("toolConfig")]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if item.get(key) is not None:
                return True
            waiting += [item.get("content")]
    return False
