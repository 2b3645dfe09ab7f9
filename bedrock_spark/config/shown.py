"""A config as a report may show it: without prompts, options of the source, and credentials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bedrock_spark.config.config import Config
from bedrock_spark.config.secrets import holds_secret

# The texts below `request` that are words of the config or names of columns, and no prompts.
_SHOWN_OF_REQUEST = frozenset(
    {
        *("images", "documents", "body_column", "input_type", "embedding_types", "aspect_ratio"),
        *("on_truncated", "on_refused", "tool_choice", "thinking"),
    }
)
_DIGEST = "sha256:"


def shown_config(config: Config) -> dict[str, Any]:
    """Return the keys of a config that are not at their default, as JSON values.

    A prompt, a body, a schema and an option of the source are replaced by their size: they may
    quote rows. So is any text that holds a credential.
    """
    values = config.model_dump(mode="json", exclude_defaults=True)
    request = values.get("request")
    if isinstance(request, dict):
        values["request"] = {
            name: value if name in _SHOWN_OF_REQUEST else _without_text(value)
            for name, value in request.items()
        }
    source = values.get("source")
    if isinstance(source, dict) and "options" in source:
        source["options"] = {
            name: value if isinstance(value, Mapping) else _without_text(value)
            for name, value in source["options"].items()
        }
    shown: dict[str, Any] = _without_credentials(values)
    return shown


def compared_config(config: Config) -> dict[str, Any]:
    """Return the keys of a config that are not at their default, to tell two configs apart.

    The names are those of sections and keys, such as `model.id`. What `shown_config` hides is
    replaced by a digest.
    """
    values = config.model_dump(mode="json", exclude_defaults=True)
    named: dict[str, Any] = {}
    for section, value in values.items():
        if isinstance(value, Mapping):
            named |= {f"{section}.{key}": own for key, own in value.items()}
        else:
            named[section] = value
    return {
        name: _digest(value) if is_hidden(name, value) else value for name, value in named.items()
    }


def is_digest(value: Any) -> bool:
    """Tell whether `compared_config` has a digest in place of a value."""
    return isinstance(value, str) and value.startswith(_DIGEST)


def is_hidden(name: str, value: Any) -> bool:
    """Tell whether a value may not be shown: it may quote rows or a prompt, or hold a credential.

    name: of the key, such as `request.prompt`, or of a whole section
    """
    section, _, key = name.partition(".")
    is_text = isinstance(value, (str, list, tuple, dict))
    is_prompt = section == "request" and key not in _SHOWN_OF_REQUEST
    is_private = is_prompt or name in ("source", "source.options")
    return (is_private and is_text) or holds_secret(json.dumps(value))


def _digest(value: Any) -> str:
    return f"{_DIGEST}{_sha256(value)}"


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_text(value: Any) -> Any:
    """Return a number as it is, and anything else as its size."""
    if isinstance(value, str):
        return f"(hidden, {len(value):,} characters)"
    if isinstance(value, (list, dict)):
        return f"(hidden, {len(value):,} {'key' if isinstance(value, dict) else 'item'}s)"
    return value


def _without_credentials(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_credentials(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_without_credentials(own) for own in value]
    return _without_text(value) if isinstance(value, str) and holds_secret(value) else value
