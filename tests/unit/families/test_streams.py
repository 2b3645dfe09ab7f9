"""Streamed answers: the sum of the chunks of each family, and reasoning apart from text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bedrock_spark.families import FAMILIES, Answer, family_by_name
from bedrock_spark.families.openai_chat import split_reasoning
from bedrock_spark.families.streaming import read_chunks

TOKENS: dict[str, Any] = {"input_tokens": 3, "output_tokens": 4}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def joined(parts: Iterable[Answer]) -> Answer:
    """Put the parts of a stream together."""
    texts: dict[str, str] = {}
    latest: dict[str, Any] = {}
    for part in parts:
        for name in ("text", "reasoning", "tool_input"):
            piece = getattr(part, name)
            if piece:
                texts[name] = texts.get(name, "") + piece
        for name in ("stop_reason", "input_tokens", "output_tokens"):
            if getattr(part, name) is not None:
                latest[name] = getattr(part, name)
    return Answer(**texts, **latest)


def read(family: str, *chunks: dict[str, Any]) -> Answer:
    return joined(read_chunks(family_by_name(family), chunks))


def delta(reason: str | None = None, usage: Any = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "choices": [choice], "usage": usage}


def block(index: int, **delta: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, **members}


ANTHROPIC = (
    event("message_start", message={"content": [], "usage": {"input_tokens": 3}}),
    event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
    event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm "}),
    event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "x"}),
    event("content_block_stop", index=0),
    event("ping"),
    event("content_block_delta", index=1, delta={"type": "text_delta", "text": "a "}),
    event("content_block_delta", index=1, delta={"type": "text_delta", "text": "b"}),
    event("content_block_start", index=2, content_block={"type": "tool_use", "input": {}}),
    event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": "{"}),
    event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": "}"}),
    event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 4}),
    event("message_stop"),
)
CONVERSE = (
    {"messageStart": {"role": "assistant"}},
    block(0, reasoningContent={"text": "hm "}),
    block(0, reasoningContent={"signature": "x"}),
    block(1, text="a "),
    block(1, text="b"),
    {"contentBlockStop": {"contentBlockIndex": 1}},
    {"contentBlockStart": {"start": {"toolUse": {"name": "f"}}, "contentBlockIndex": 2}},
    block(2, toolUse={"input": "{"}),
    block(2, toolUse={"input": "}"}),
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}, "metrics": {"latencyMs": 5}}},
)
WHOLE = Answer(text="a b", reasoning="hm ", tool_input="{}", stop_reason="tool_use", **TOKENS)
CHAT = (
    delta(role="assistant", content=""),
    delta(content="a "),
    delta(content="b"),
    delta("stop", USAGE),
)
PLAIN = Answer(text="a b", stop_reason="stop", **TOKENS)

STREAMS: list[tuple[str, tuple[dict[str, Any], ...], Answer]] = [
    ("anthropic", ANTHROPIC, WHOLE),
    ("nova", CONVERSE, WHOLE),
    ("converse", CONVERSE, WHOLE),
    (
        "titan_text",
        (
            {"outputText": "a ", "completionReason": None, "totalOutputTextTokenCount": None},
            {
                "outputText": "b",
                "completionReason": "FINISH",
                "totalOutputTextTokenCount": 4,
                "inputTextTokenCount": 3,
            },
        ),
        Answer(text="a b", stop_reason="FINISH", **TOKENS),
    ),
    (
        "cohere_command",
        (
            {"index": 0, "text": "a ", "is_finished": False},
            {"index": 0, "text": "b<EOS_TOKEN>", "is_finished": False},
            {"index": 0, "is_finished": True, "finish_reason": "COMPLETE"},
        ),
        Answer(text="a b", stop_reason="COMPLETE"),
    ),
    (
        "cohere_command",
        ({"generations": [{"text": "a b", "finish_reason": "COMPLETE"}], "prompt": "x"},),
        Answer(text="a b", stop_reason="COMPLETE"),
    ),
    (
        "cohere_command_r",
        (
            {"event_type": "stream-start", "generation_id": "x"},
            {"event_type": "text-generation", "text": "a "},
            {"event_type": "text-generation", "text": "b"},
            {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": "a b"}},
        ),
        Answer(text="a b", stop_reason="COMPLETE"),
    ),
    (
        "llama3",
        (
            {"generation": "a ", "prompt_token_count": 3, "generation_token_count": 1},
            {"generation": "b", "prompt_token_count": None, "generation_token_count": 2},
            {"generation": "", "generation_token_count": 4, "stop_reason": "stop"},
        ),
        PLAIN,
    ),
    (
        "mistral_instruct",
        (
            {"outputs": [{"text": "a ", "stop_reason": None}]},
            {"outputs": [{"text": "b", "stop_reason": "stop"}]},
        ),
        Answer(text="a b", stop_reason="stop"),
    ),
    (
        "mistral_chat",
        (
            {"choices": [{"message": {"content": "a "}, "stop_reason": None}]},
            {"choices": [{"message": {"content": "b"}, "stop_reason": "stop"}], "usage": USAGE},
        ),
        PLAIN,
    ),
    *((name, CHAT, PLAIN) for name in ("mistral_chat", "jamba", "gpt_oss", "qwen", "deepseek_v3")),
    (
        "qwen",
        (delta(reasoning_content="hm "), delta(content="a b"), delta("stop", USAGE)),
        Answer(text="a b", reasoning="hm ", stop_reason="stop", **TOKENS),
    ),
    (
        "jamba",
        (
            delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"n":'}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
            delta("tool_calls"),
        ),
        Answer(tool_input='{"n":1}', stop_reason="tool_calls"),
    ),
    (
        "gpt_oss",
        (
            delta(role="assistant", content=""),
            delta(content="<reasoning>one</reasoning>"),
            delta(content="<reasoning> two</reasoning>"),
            delta(content="a "),
            delta(content="b"),
            delta("stop", USAGE),
        ),
        Answer(text="a b", reasoning="one two", stop_reason="stop", **TOKENS),
    ),
    (
        "deepseek_r1",
        (
            {"choices": [{"text": "hm", "stop_reason": None}]},
            {"choices": [{"text": "</thi", "stop_reason": None}]},
            {"choices": [{"text": "nk>\n\na b", "stop_reason": None}]},
            {"choices": [{"text": "", "stop_reason": "stop"}]},
        ),
        Answer(text="a b", reasoning="hm", stop_reason="stop"),
    ),
]


@pytest.mark.parametrize(("family", "chunks", "expected"), STREAMS)
def test_the_chunks_of_a_stream_add_up_to_its_answer(
    family: str, chunks: tuple[dict[str, Any], ...], expected: Answer
) -> None:
    """Text, reasoning and tool input come in pieces. Of reasons and counts, the last one counts."""
    assert read(family, *chunks) == expected


def test_only_families_of_text_stream() -> None:
    """Vectors and images are not streamed, and the chunks of `raw` are unknown."""
    without_stream = {f.name for f in FAMILIES if f.read_chunk is None}
    assert without_stream == {
        *(
            "titan_embeddings",
            "titan_multimodal",
            "nova_embeddings",
            "amazon_images",
            "cohere_embed",
        ),
        *("stability", "stability_xl", "raw"),
    }
    tested = {name for name, _, _ in STREAMS} | {"llama4"}
    assert tested | without_stream == {f.name for f in FAMILIES}
    with pytest.raises(ValueError, match="raw do not stream"):
        list(read_chunks(family_by_name("raw"), []))


@pytest.mark.parametrize("family", [f.name for f in FAMILIES if f.read_chunk is not None])
def test_bedrocks_own_counts_are_read_for_every_family(family: str) -> None:
    """They are in the last chunk, also if the model itself has no token counts."""
    metrics = {"inputTokenCount": 3, "outputTokenCount": 4, "invocationLatency": 5}
    answer = read(family, {"amazon-bedrock-invocationMetrics": metrics})
    assert answer == Answer(**TOKENS)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.read_chunk is not None])
@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"type": None, "delta": None, "choices": None, "outputs": None, "generations": None},
        {"delta": [], "choices": [None], "outputs": [1], "text": 5, "contentBlockDelta": "x"},
    ],
)
def test_a_chunk_of_another_shape_adds_nothing(family: Any, chunk: dict[str, Any]) -> None:
    """A model may change its chunks: nothing is raised."""
    assert joined(read_chunks(family, [chunk])) == Answer()


def cut(text: str, places: list[int]) -> list[dict[str, Any]]:
    """Cut a text into chunks at these places."""
    cuts = sorted({0, len(text), *(p % (len(text) + 1) for p in places)})
    return [{"choices": [{"text": text[a:b]}]} for a, b in itertools.pairwise(cuts)]


TEXT = st.text(st.sampled_from("ab <>/think\n"), max_size=30)
FORMS = st.sampled_from(
    ["{0}", "<think>{0}</think>{1}", "\n<think>\n{0}</think>\n\n{1}", "<think>"]
)


@pytest.mark.parametrize("family", ["deepseek_v3", "deepseek_r1"])
@given(form=FORMS, first=TEXT, second=TEXT, places=st.lists(st.integers(0, 99), max_size=8))
def test_a_text_in_chunks_is_read_like_the_whole_text(
    family: str, form: str, first: str, second: str, places: list[int]
) -> None:
    """A tag may be cut in two. Text that only looks like the start of a tag is not lost."""
    assume("<think>" not in first + second)
    text = form.format(first, second)
    is_open = family == "deepseek_r1"
    chunks = cut(text, places)
    if not is_open:
        chunks = [{"choices": [{"delta": {"content": c["choices"][0]["text"]}}]} for c in chunks]
    answer = read(family, *chunks)
    whole, reasoning = split_reasoning(text, "think", is_open=is_open)
    assert (answer.text or "") == (whole or "")
    if whole != text:
        assert (answer.reasoning or "").strip() == (reasoning or "")
