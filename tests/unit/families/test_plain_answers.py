"""Answers that are read in one step: the same as those that are decoded and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedrock_spark.families import family_by_name
from bedrock_spark.families.base import Family, decode_output, read_answer, read_decoded
from bedrock_spark.families.registry import FAMILIES

PLAIN = [family for family in FAMILIES if family.read_plain is not None]
ODD = st.sampled_from([None, True, 0, 1.0, 1.5, -3, 2**70, "", "x", [], {}, [None], {"text": 1}])
TEXT = st.one_of(ODD, st.text(max_size=4))
COUNT = st.one_of(st.integers(0, 9), ODD)
GUARDRAIL = "amazon-bedrock-guardrailAction"


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw an object with some of the members, or something else in its place."""
    return st.one_of(st.fixed_dictionaries({}, optional=members), ODD)


CLAUDE = some(
    content=st.one_of(
        st.lists(
            some(
                type=st.sampled_from(["text", "thinking", "tool_use", None, 1]),
                text=TEXT,
                thinking=TEXT,
                input=ODD,
            ),
            max_size=3,
        ),
        ODD,
    ),
    stop_reason=TEXT,
    usage=some(
        input_tokens=COUNT,
        output_tokens=COUNT,
        cache_read_input_tokens=COUNT,
        cache_creation_input_tokens=COUNT,
        output_tokens_details=some(thinking_tokens=COUNT),
    ),
    **{GUARDRAIL: st.sampled_from(["INTERVENED", "NONE", None])},
)
BLOCK = some(
    text=TEXT,
    toolUse=some(input=ODD),
    reasoningContent=some(reasoningText=some(text=TEXT)),
    citationsContent=some(content=st.lists(some(text=TEXT), max_size=2)),
)
CONVERSE = some(
    output=some(message=some(content=st.one_of(st.lists(BLOCK, max_size=3), ODD))),
    stopReason=TEXT,
    usage=some(
        inputTokens=COUNT,
        outputTokens=COUNT,
        totalTokens=COUNT,
        cacheReadInputTokens=COUNT,
        cacheReadInputTokenCount=COUNT,
        cacheWriteInputTokens=COUNT,
        cacheWriteInputTokenCount=COUNT,
    ),
    **{GUARDRAIL: st.sampled_from(["INTERVENED", "NONE", None])},
)
CHAT = some(
    choices=st.one_of(
        st.lists(
            some(
                message=some(
                    content=st.one_of(
                        TEXT,
                        st.sampled_from(
                            [
                                "<think>hm</think>\nyes",
                                "hm</think>yes",
                                "<reasoning>x",
                                '"</think>"',
                            ]
                        ),
                    ),
                    reasoning_content=TEXT,
                    reasoning=TEXT,
                    refusal=TEXT,
                    tool_calls=st.sampled_from([[], [{"function": {"arguments": "{}"}}], None, 1]),
                ),
                finish_reason=TEXT,
                stop_reason=TEXT,
            ),
            max_size=2,
        ),
        ODD,
    ),
    usage=some(
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        completion_tokens_details=some(reasoning_tokens=COUNT),
        prompt_tokens_details=some(cached_tokens=COUNT),
    ),
    **{GUARDRAIL: st.sampled_from(["INTERVENED", "NONE", None])},
)
USUAL: dict[str, Any] = {
    "anthropic": {
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 2},
    },
    "converse": {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"content": [{"text": "yes", "toolUse": None}], "role": "assistant"}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
    },
}
USUAL["nova"] = USUAL["converse"]
for _name in ("gpt_oss", "qwen", "deepseek_v3", "mistral_chat", "jamba"):
    USUAL[_name] = {
        "id": "chatcmpl-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "yes", "reasoning_content": "hm"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }


@pytest.mark.parametrize("family", PLAIN, ids=lambda family: family.name)
@given(st.one_of(CLAUDE, CONVERSE, CHAT))
@example({"content": [], "usage": {"input_tokens": 3, "cache_read_input_tokens": 4}})
@example({"content": [{"type": "text", "text": "a"}, {"text": None}, {}], "usage": {}})
def test_an_answer_that_is_read_in_one_step_is_the_same(family: Family, output: Any) -> None:
    """Or it is left to the reader of all shapes."""
    assert family.read_plain is not None
    data = json.dumps(output).encode()
    other = read_decoded(decode_output(data), family)
    assert family.read_plain(data) in (None, other)
    assert read_answer(data, family) == other


@pytest.mark.parametrize("name", USUAL)
def test_usual_answers_are_read_in_one_step(name: str) -> None:
    """Without this, the shortcut would never be taken, and no test would fail."""
    family = family_by_name(name)
    assert family.read_plain is not None
    data = json.dumps(USUAL[name]).encode()
    assert family.read_plain(data) == read_decoded(decode_output(data), family)
    assert {plain.name for plain in PLAIN} == set(USUAL)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", 100_000 * b"[", b'{"usage":{}}'])
def test_what_cannot_be_decoded_is_left_to_the_other_reader(data: bytes) -> None:
    for family in PLAIN:
        assert family.read_plain is not None
        assert family.read_plain(data) is None


@pytest.mark.parametrize("name", USUAL)
def test_a_number_that_is_not_needed_may_be_too_large(name: str) -> None:
    """The whole answer could not be decoded for it. What is needed is there."""
    data = json.dumps(USUAL[name]).encode()
    odd = b'{"new":1e999,' + data[1:]
    family = family_by_name(name)
    assert read_answer(odd, family) == read_answer(data, family)
