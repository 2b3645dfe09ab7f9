"""The token counts of all APIs have one meaning: totals, and their parts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families import Answer, family_by_name
from bedrock_spark.families.streaming import read_chunks
from bedrock_spark.families.usage import claude_usage, converse_usage, openai_usage

COUNTS = ("input", "output", "reasoning", "cache_read", "cache_write")


def counts(answer: Answer) -> tuple[int | None, ...]:
    return tuple(getattr(answer, f"{name}_tokens") for name in COUNTS)


CLAUDE = {
    "input_tokens": 3,
    "output_tokens": 9,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 5},
}
CONVERSE = {"inputTokens": 3, "outputTokens": 9, "totalTokens": 132}
CACHED = {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
OPENAI = {
    "prompt_tokens": 123,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


@pytest.mark.parametrize(
    ("family", "output", "expected"),
    [
        ("anthropic", {"usage": CLAUDE}, (123, 9, 5, 100, 20)),
        ("anthropic", {"usage": {"input_tokens": 3, "output_tokens": 9}}, (3, 9, *[None] * 3)),
        ("converse", {"usage": CONVERSE | CACHED}, (123, 9, None, 100, 20)),
        (
            "converse",
            {"usage": CONVERSE | CACHED | {"inputTokens": 123}},
            (123, 9, None, 100, 20),
        ),
        ("converse", {"usage": {"inputTokens": 3, **CACHED}}, (123, None, None, 100, 20)),
        (
            "nova",
            {"usage": CONVERSE | {f"{k[:-1]}Count": n for k, n in CACHED.items()}},
            (123, 9, None, 100, 20),
        ),
        ("nova", {"usage": {"inputTokens": 3, "totalTokens": 3}}, (3, *[None] * 4)),
        *(
            (family, {"usage": OPENAI}, (123, 9, 5, 100, None))
            for family in ("gpt_oss", "qwen", "deepseek_v3", "deepseek_r1", "mistral_chat", "jamba")
        ),
    ],
)
def test_totals_hold_their_parts(
    family: str, output: dict[str, Any], expected: tuple[int | None, ...]
) -> None:
    """The input has the tokens of the cache, whether the API's own count has them or not."""
    assert counts(family_by_name(family).read(output)) == expected


@pytest.mark.parametrize(
    ("family", "chunk", "expected"),
    [
        ("anthropic", {"message": {"usage": CLAUDE}}, (123, 9, 5, 100, 20)),
        ("anthropic", {"usage": CLAUDE}, (123, 9, 5, 100, 20)),
        ("converse", {"metadata": {"usage": CONVERSE | CACHED}}, (123, 9, None, 100, 20)),
        ("gpt_oss", {"usage": OPENAI}, (123, 9, 5, 100, None)),
        (
            "llama3",
            {
                "amazon-bedrock-invocationMetrics": {
                    "inputTokenCount": 3,
                    "outputTokenCount": 9,
                    "cacheReadInputTokenCount": 100,
                    "cacheWriteInputTokenCount": 20,
                }
            },
            (123, 9, None, 100, 20),
        ),
    ],
)
def test_chunks_of_streams_count_alike(
    family: str, chunk: dict[str, Any], expected: tuple[int | None, ...]
) -> None:
    """The same counts come from a stream."""
    parts = list(read_chunks(family_by_name(family), [chunk]))
    assert expected in [counts(part) for part in parts]


MEMBERS = (*CLAUDE, *CONVERSE, *CACHED, *OPENAI, "cached_tokens", "reasoning_tokens")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=10,
)


@given(ANYTHING)
def test_no_usage_fails(usage: Any) -> None:
    """Whatever stands in place of counts, a count is a whole number or None."""
    for read in (claude_usage, converse_usage, openai_usage):
        values = read(usage).values()
        assert all(value is None or type(value) is int for value in values)


@given(*(st.none() | st.integers(0, 99) for _ in range(3)))
def test_the_cache_is_a_part_of_the_input(
    given_input: int | None, read: int | None, written: int | None
) -> None:
    """For each API whose own input leaves out the cache. Without an input there is no total."""
    claude = claude_usage(
        {
            "input_tokens": given_input,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
        }
    )
    total = None if given_input is None else given_input + (read or 0) + (written or 0)
    assert claude["input_tokens"] == total
    converse = converse_usage(
        {
            "inputTokens": given_input,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": written,
            "totalTokens": total,
        }
    )
    assert converse["input_tokens"] == total
