"""A config as a report may show it: without prompts, options of the source, and credentials."""

from __future__ import annotations

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
