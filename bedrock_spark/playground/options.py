"""The options of a single question."""

from __future__ import annotations

from bedrock_spark.config.request import EXTRA_OPTIONS

# Below the limit of every text model, and enough for an answer that fits a terminal.
DEFAULT_MAX_TOKENS = 2048
# What of `request` in a config is an option of a single question.
OPTIONS = (
    *("system", "max_tokens", "temperature", "top_p", "stop", "tools", "tool_choice"),
    *EXTRA_OPTIONS,
)
