"""Rules that batch inference adds to those of the runtime, and limits of single models.

Users of real batch jobs reported each rule. A record that breaks a rule fails; its job goes on.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_emulator.families.claude_rules import check_claude
from bedrock_emulator.families.family import BodyError
from bedrock_emulator.families.schema_rules import check_schemas

# The most output tokens that a request may ask for (reported for Llama 4 and Nova Micro).
_OUTPUT_TOKEN_LIMITS = (
    (re.compile(r"meta\.llama4.+"), 8_192),
    (re.compile(r"amazon\.nova-micro.+"), 10_000),
)


class RecordRefusedError(Exception):
    """A record that is refused with an error code other than 400."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def check_batch_record(model_id: str, body: dict[str, Any], *, is_converse: bool) -> None:
    """Raise BodyError (400) or RecordRefusedError if batch inference refuses a record's body."""
    if _has_key(body, "cachePoint" if is_converse else "cache_control"):
        raise RecordRefusedError(403, "You do not have access to explicit prompt caching")
    if is_converse and body.get("toolConfig"):
        raise BodyError("Tool use is not supported for records of the Converse type.")
    extra = body.get("additionalModelRequestFields") if is_converse else None
    if isinstance(extra, dict) and "thinking" in extra:
        raise BodyError("Malformed input request: #: extraneous key [thinking] is not permitted")
    check_model_limits(model_id, body, is_converse=is_converse)


def check_model_limits(model_id: str, body: dict[str, Any], *, is_converse: bool) -> None:
    """Raise BodyError if this model refuses a parameter, in batch jobs and in runtime calls."""
    config = _section(body, "inferenceConfig") if is_converse else body
    check_claude(model_id, body, config, _thinking(body, is_converse=is_converse))
    _check_nova(model_id, body)
    _check_output_tokens(model_id, body, config)
    check_schemas(model_id, body, is_converse=is_converse)


def _thinking(body: dict[str, Any], *, is_converse: bool) -> dict[str, Any]:
    holder = (body.get("additionalModelRequestFields") if is_converse else body) or {}
    thinking = holder.get("thinking") if isinstance(holder, dict) else None
    return thinking if isinstance(thinking, dict) else {}


def _check_nova(model_id: str, body: dict[str, Any]) -> None:
    """Only Nova 2 thinks."""
    config = body.get("inferenceConfig")
    asks = isinstance(config, dict) and config.get("reasoningConfig") is not None
    if asks and model_id.startswith("amazon.nova-") and not model_id.startswith("amazon.nova-2-"):
        raise BodyError(
            "Malformed input request: #/inferenceConfig: extraneous key [reasoningConfig] is not "
            "permitted"
        )


def _check_output_tokens(model_id: str, body: dict[str, Any], config: dict[str, Any]) -> None:
    nested = _section(body, "inferenceConfig")
    names = ("maxTokens", "max_tokens", "max_new_tokens", "max_gen_len")
    requested = [source[name] for source in (config, nested) for name in names if source.get(name)]
    for models, limit in _OUTPUT_TOKEN_LIMITS:
        if models.fullmatch(model_id) and any(
            isinstance(tokens, int | float) and tokens > limit for tokens in requested
        ):
            raise BodyError(f"The maximum tokens you requested exceeds the model limit of {limit}.")


def _section(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object inside a body; {} if there is none, or it is no object."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _has_key(value: Any, key: str) -> bool:
    """Return whether an object in the messages, system prompt or toolConfig has a value for `key`.

    The search is depth-first through lists and `content` members.
    """
    pending = [value.get("messages"), value.get("system"), value.get("toolConfig")]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            if item.get(key) is not None:
                return True
            pending += [item.get("content")]
    return False
