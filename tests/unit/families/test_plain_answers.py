"""Answers that are read in one step: the same as those that are decoded and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
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
NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9), ODD)
VECTOR = st.one_of(st.lists(st.floats(-1, 1), max_size=3), st.lists(NUMBER, max_size=3), ODD)
GUARDED = {GUARDRAIL: st.sampled_from(["INTERVENED", "NONE", None])}


def several(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(item, max_size=2), ODD)


LLAMA = some(
    generation=TEXT,
    stop_reason=TEXT,
    prompt_token_count=COUNT,
    generation_token_count=COUNT,
    **GUARDED,
)
TITAN_TEXT = some(
    inputTextTokenCount=COUNT,
    results=several(some(tokenCount=COUNT, outputText=TEXT, completionReason=TEXT)),
    **GUARDED,
)
COMMAND = some(generations=several(some(text=TEXT, finish_reason=TEXT)), **GUARDED)
COMMAND_R = some(
    text=TEXT,
    finish_reason=TEXT,
    tool_calls=several(some(name=TEXT, parameters=ODD)),
    **GUARDED,
)
MISTRAL = some(outputs=several(some(text=TEXT, stop_reason=TEXT)), **GUARDED)
R1 = some(
    choices=several(
        some(
            text=st.one_of(TEXT, st.sampled_from(["hm</think>yes", "<think>hm", '"</think>"'])),
            stop_reason=TEXT,
        )
    ),
    usage=some(
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        completion_tokens_details=some(reasoning_tokens=COUNT),
        prompt_tokens_details=some(cached_tokens=COUNT),
    ),
    **GUARDED,
)
TITAN = some(
    embedding=VECTOR,
    embeddingsByType=some(float=VECTOR, binary=VECTOR),
    inputTextTokenCount=COUNT,
    message=TEXT,
    **GUARDED,
)
NOVA_EMBEDDINGS = some(embeddings=several(some(embeddingType=TEXT, embedding=VECTOR)), **GUARDED)
COHERE = some(
    embeddings=st.one_of(several(VECTOR), some(float=several(VECTOR), int8=several(VECTOR))),
    **GUARDED,
)
IMAGES = some(
    images=several(TEXT),
    artifacts=several(some(base64=TEXT, finishReason=TEXT)),
    finish_reasons=several(TEXT),
    error=TEXT,
    **GUARDED,
)
# The shape of the answers of each family.
SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "anthropic": CLAUDE,
    "nova": CONVERSE,
    "titan_text": TITAN_TEXT,
    "titan_embeddings": TITAN,
    "titan_multimodal": TITAN,
    "nova_embeddings": NOVA_EMBEDDINGS,
    "amazon_images": IMAGES,
    "cohere_command": COMMAND,
    "cohere_command_r": COMMAND_R,
    "cohere_embed": COHERE,
    "llama3": LLAMA,
    "llama4": LLAMA,
    "mistral_instruct": MISTRAL,
    "mistral_chat": CHAT,
    "jamba": CHAT,
    "stability": IMAGES,
    "stability_xl": IMAGES,
    "gpt_oss": CHAT,
    "qwen": CHAT,
    "deepseek_r1": R1,
    "deepseek_v3": CHAT,
    "converse": CONVERSE,
    "raw": CLAUDE,
}
# Nearly all of an answer is the text of an image, which both ways copy once; `raw` reads nothing.
IN_TWO_STEPS = {"amazon_images", "stability", "stability_xl", "raw"}
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

USUAL |= {
    "titan_text": {
        "inputTextTokenCount": 3,
        "results": [{"tokenCount": 5, "outputText": "yes", "completionReason": "FINISH"}],
    },
    "titan_embeddings": {
        "embedding": [0.5, 1],
        "embeddingsByType": {"float": [0.5, 1]},
        "inputTextTokenCount": 3,
    },
    "titan_multimodal": {"embedding": [0.5, 1], "inputTextTokenCount": 3, "message": None},
    "nova_embeddings": {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, 1]}]},
    "cohere_command": {"id": "1", "generations": [{"text": "yes", "finish_reason": "COMPLETE"}]},
    "cohere_command_r": {"text": "yes", "finish_reason": "COMPLETE", "chat_history": []},
    "cohere_embed": {"id": "1", "embeddings": {"float": [[0.5, 1]]}, "texts": ["a"]},
    "mistral_instruct": {"outputs": [{"text": "yes", "stop_reason": "stop"}]},
    "deepseek_r1": {
        "choices": [{"text": "hm</think>yes", "stop_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    },
}
USUAL["llama3"] = USUAL["llama4"] = {
    "generation": "yes",
    "stop_reason": "stop",
    "prompt_token_count": 3,
    "generation_token_count": 5,
}

EXAMPLES: list[Any] = [
    {"content": [], "usage": {"input_tokens": 3, "cache_read_input_tokens": 4}},
    {"content": [{"type": "text", "text": "a"}, {"text": None}, {}], "usage": {}},
    {"embedding": [2**70, 2**63 + 1, 1, -0.0, 1e-400, 0.1]},
    {"embedding": [], "embeddingsByType": {"float": [1.5]}},
    {"embedding": [True]},
    {"embeddings": [[0.5], "x"]},
    {"embeddings": {"float": [[1, 2.5]], "int8": [[1]]}},
]


def check_both_readers(family: Family, data: bytes) -> None:
    """An answer that is read in one step is the same, or it is left to the reader of all shapes."""
    other = read_decoded(decode_output(data), family)
    if family.read_plain is not None:
        assert repr(family.read_plain(data)) in (repr(None), repr(other))
    assert repr(read_answer(data, family)) == repr(other)


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
def test_both_readers_of_a_family_give_the_same(name: str, data: st.DataObject) -> None:
    """For any answer of its shape."""
    check_both_readers(family_by_name(name), json.dumps(data.draw(SHAPES[name])).encode())


@given(st.one_of(*dict.fromkeys(SHAPES.values())))
def test_both_readers_give_the_same_for_answers_of_other_families(output: Any) -> None:
    for family in FAMILIES:
        check_both_readers(family, json.dumps(output).encode())


@pytest.mark.parametrize("output", EXAMPLES, ids=str)
def test_both_readers_give_the_same_for_these(output: Any) -> None:
    for family in FAMILIES:
        check_both_readers(family, json.dumps(output).encode())


def test_every_family_has_a_shape_and_all_but_these_a_reader_of_one_step() -> None:
    assert list(SHAPES) == [family.name for family in FAMILIES]
    assert {family.name for family in FAMILIES} - {plain.name for plain in PLAIN} == IN_TWO_STEPS


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
