"""The token counts of an answer, in one form for all APIs.

The form: `input_tokens` are all tokens of the request; those that a prompt cache gave or took are a
part of them. `output_tokens` are all tokens of the answer; reasoning is a part of them. A count
that the answer does not have is None.

The APIs differ in what their own counts mean:

- Claude's Messages: `input_tokens` leave out the tokens of the cache (Claude docs, "Prompt
  caching"). `thinking_tokens` are a part of the output (Claude docs, "Extended thinking").
- Converse, and Nova's own answer: `inputTokens` leave them out, too (Amazon Bedrock user guide,
  "Prompt caching"). For some models of OpenAI they are reported to include them
  (anomalyco/opencode #47354), and then `totalTokens` is the sum of input and output alone. The
  members of Nova's own answer have other names for the cache (litellm's tests).
- OpenAI's chat completion: `prompt_tokens` include the cached ones, and `completion_tokens` the
  reasoning (OpenAI's API reference, "The chat completion object").
"""

from __future__ import annotations

from typing import Any, TypedDict

from bedrock_spark.families.base import Answer
from bedrock_spark.families.json_members import Json, at, count_at


class Usage(TypedDict, total=False):
    """Counts, by their names in `Answer`."""

    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None


# These functions run for every answer, and most answers have none but the first two counts: the
# others are looked for only in a `usage` that has more members.
_PLAIN = 2


def claude_usage(usage: Any) -> Usage:
    """Read the `usage` of Claude's Messages."""
    if not isinstance(usage, dict):
        return {}
    given, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if len(usage) <= _PLAIN:
        return {"input_tokens": given, "output_tokens": output}
    read = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    return {
        "input_tokens": _with_cache(given, read, written),
        "output_tokens": output,
        "reasoning_tokens": count_at(usage, "output_tokens_details", "thinking_tokens"),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }


def converse_usage(usage: Any) -> Usage:
    """Read the `usage` of Converse, or of Nova's own answer."""
    if not isinstance(usage, dict):
        return {}
    given, output = _count(usage, "inputTokens"), _count(usage, "outputTokens")
    read = _first_count(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _first_count(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    if not (read or written) or given is None:
        total = given
    else:
        includes_cache = _count(usage, "totalTokens") == given + (output or 0)
        total = given if includes_cache else _with_cache(given, read, written)
    return {
        "input_tokens": total,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }


def openai_usage(usage: Any) -> Usage:
    """Read the `usage` of OpenAI's chat completion."""
    if not isinstance(usage, dict):
        return {}
    counts: Usage = {
        "input_tokens": _count(usage, "prompt_tokens"),
        "output_tokens": _count(usage, "completion_tokens"),
    }
    details = usage.get("completion_tokens_details")
    if details is not None:
        counts["reasoning_tokens"] = count_at(details, "reasoning_tokens")
    details = usage.get("prompt_tokens_details")
    if details is not None:
        counts["cache_read_tokens"] = count_at(details, "cached_tokens")
    return counts


# Bedrock adds its own token counts to the last chunk of a stream, in one form for all models.
_METRICS = "amazon-bedrock-invocationMetrics"


def metrics_of(chunk: Json) -> Answer:
    """Read the counts that Bedrock adds to a chunk. The input leaves out the tokens of the cache.

    Not confirmed: that it does. The members of the cache have the names that the log of the
    service's calls has, whose input leaves them out.
    """
    metrics = at(chunk, _METRICS)
    read = count_at(metrics, "cacheReadInputTokenCount")
    written = count_at(metrics, "cacheWriteInputTokenCount")
    return Answer(
        input_tokens=_with_cache(count_at(metrics, "inputTokenCount"), read, written),
        output_tokens=count_at(metrics, "outputTokenCount"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _with_cache(given: int | None, read: int | None, written: int | None) -> int | None:
    """Return the input with the tokens of the cache, for an API whose input leaves them out."""
    return given if given is None else given + (read or 0) + (written or 0)


def _count(usage: dict[str, Any], name: str) -> int | None:
    count = usage.get(name)
    return count if type(count) is int else None


def _first_count(usage: dict[str, Any], first: str, second: str) -> int | None:
    count = _count(usage, first)
    return _count(usage, second) if count is None else count
