"""Where families find text, reasoning, tool input, vectors and images in an answer.

Most answers of Claude, Titan Text and raw are in test_families.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.families import Answer, family_by_name
from bedrock_spark.families.openai_chat import split_reasoning

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
TOKENS: dict[str, Any] = {"input_tokens": 3, "output_tokens": 4}
ARGUMENTS = '{"city": "Z\u00fcrich"}'


def chat(content: Any, reason: str = "stop", **message: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": answer, "finish_reason": reason}], "usage": USAGE}


def converse(*content: dict[str, Any]) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 4},
    }


ANSWERS: list[tuple[str, dict[str, Any], Answer]] = [
    ("nova", converse({"text": "a"}), Answer(text="a", stop_reason="end_turn", **TOKENS)),
    (
        "nova",
        converse({"reasoningContent": {"reasoningText": {"text": "[REDACTED]"}}}, {"text": "a"}),
        Answer(text="a", reasoning="[REDACTED]", stop_reason="end_turn", **TOKENS),
    ),
    (
        "converse",
        converse(
            {
                "text": None,
                "toolUse": {"toolUseId": "1", "name": "f", "input": {"n": [1, "\u00e9"]}},
            },
            {"text": None, "toolUse": {"toolUseId": "2", "name": "f", "input": {"n": []}}},
        ),
        Answer(tool_input='{"n":[1,"\u00e9"]}', stop_reason="end_turn", **TOKENS),
    ),
    (
        "titan_multimodal",
        {"embedding": [0.5, 1], "inputTextTokenCount": 3, "message": None},
        Answer(embedding=(0.5, 1), input_tokens=3),
    ),
    (
        "titan_embeddings",
        {
            "embedding": [0.5],
            "embeddingsByType": {"binary": [1], "float": [0.5]},
            "inputTextTokenCount": 3,
        },
        Answer(embedding=(0.5,), input_tokens=3),
    ),
    ("titan_embeddings", {"embeddingsByType": {"binary": [1]}}, Answer(has_other_vectors=True)),
    ("amazon_images", {"images": ["aa", "bb"], "error": None}, Answer(images=("aa", "bb"))),
    ("amazon_images", {"images": None, "error": "withheld"}, Answer(stop_reason="withheld")),
    (
        "cohere_command",
        {"generations": [{"text": "a", "finish_reason": "COMPLETE"}], "prompt": "Q"},
        Answer(text="a", stop_reason="COMPLETE"),
    ),
    (
        "cohere_command_r",
        {"text": "", "finish_reason": "COMPLETE", "tool_calls": [{"parameters": {"a": 1}}]},
        Answer(text="", tool_input='{"a":1}', stop_reason="COMPLETE"),
    ),
    (
        "nova_embeddings",
        {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, -1]}]},
        Answer(embedding=(0.5, -1.0)),
    ),
    ("nova_embeddings", {"embeddings": []}, Answer()),
    ("cohere_embed", {"embeddings": [[0.5, -1.0]]}, Answer(embedding=(0.5, -1.0))),
    (
        "cohere_embed",
        {"embeddings": {"int8": [[1, 2]], "float": [[0.5]]}},
        Answer(embedding=(0.5,)),
    ),
    ("cohere_embed", {"embeddings": {"int8": [[1, 2]]}}, Answer(has_other_vectors=True)),
    (
        "llama3",
        {
            "generation": "a",
            "prompt_token_count": 3,
            "generation_token_count": 4,
            "stop_reason": "stop",
        },
        Answer(text="a", stop_reason="stop", **TOKENS),
    ),
    ("llama4", {"generation": None, "stop_reason": "length"}, Answer(stop_reason="length")),
    (
        "mistral_instruct",
        {"outputs": [{"text": " a", "stop_reason": "stop"}]},
        Answer(text=" a", stop_reason="stop"),
    ),
    (
        "mistral_chat",
        {"choices": [{"message": {"content": "a"}, "stop_reason": "stop"}]},
        Answer(text="a", stop_reason="stop"),
    ),
    (
        "mistral_chat",
        chat([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        Answer(text="ab", stop_reason="stop", **TOKENS),
    ),
    (
        "mistral_chat",
        chat("", "tool_calls", tool_calls=[{"function": {"name": "f", "arguments": ARGUMENTS}}]),
        Answer(text="", tool_input=ARGUMENTS, stop_reason="tool_calls", **TOKENS),
    ),
    (
        "jamba",
        chat("<think>no</think>"),
        Answer(text="<think>no</think>", stop_reason="stop", **TOKENS),
    ),
    ("gpt_oss", chat(None, "length"), Answer(stop_reason="length", **TOKENS)),
    (
        "gpt_oss",
        chat(None, refusal="No."),
        Answer(text="No.", stop_reason="refusal", **TOKENS),
    ),
    (
        "converse",
        converse(
            {"text": "a "},
            {"text": None, "citationsContent": {"content": [{"text": "b"}], "citations": [{}]}},
            {"text": " c"},
        ),
        Answer(text="a b c", stop_reason="end_turn", **TOKENS),
    ),
    (
        "nova",
        converse({"citationsContent": {"content": [{"text": "b"}, {"text": "c"}]}}),
        Answer(text="bc", stop_reason="end_turn", **TOKENS),
    ),
    (
        "qwen",
        chat("hm\n</think>\n\na"),
        Answer(text="a", reasoning="hm", stop_reason="stop", **TOKENS),
    ),
    (
        "deepseek_v3",
        chat("hm</think>a"),
        Answer(text="a", reasoning="hm", stop_reason="stop", **TOKENS),
    ),
    (
        "qwen",
        chat('{"label": "the tag </think> ends it"}'),
        Answer(text='{"label": "the tag </think> ends it"}', stop_reason="stop", **TOKENS),
    ),
    (
        "gpt_oss",
        chat("<reasoning>hm</reasoning>\n\na"),
        Answer(text="a", reasoning="hm", stop_reason="stop", **TOKENS),
    ),
    (
        "gpt_oss",
        chat("<reasoning>hm", "length"),
        Answer(reasoning="hm", stop_reason="length", **TOKENS),
    ),
    (
        "qwen",
        chat("<think>\n\n</think>\n\na"),
        Answer(text="a", stop_reason="stop", **TOKENS),
    ),
    (
        "qwen",
        chat("<think> stays", reasoning_content="hm"),
        Answer(text="<think> stays", reasoning="hm", stop_reason="stop", **TOKENS),
    ),
    (
        "deepseek_v3",
        chat("<think>hm</think>a"),
        Answer(text="a", reasoning="hm", stop_reason="stop", **TOKENS),
    ),
    (
        "deepseek_r1",
        {"choices": [{"text": "hm\n</think>\n\na", "stop_reason": "stop"}]},
        Answer(text="a", reasoning="hm", stop_reason="stop"),
    ),
    (
        "deepseek_r1",
        {"choices": [{"text": "cut off", "stop_reason": "length"}]},
        Answer(text="cut off", stop_reason="length"),
    ),
    (
        "stability",
        {"images": ["aa"], "seeds": [1], "finish_reasons": [None]},
        Answer(images=("aa",)),
    ),
    (
        "stability",
        {"finish_reasons": ["Filter reason: prompt"]},
        Answer(stop_reason="Filter reason: prompt"),
    ),
    (
        "stability_xl",
        {"artifacts": [{"base64": "aa", "finishReason": "SUCCESS"}, {"base64": None}]},
        Answer(images=("aa",), stop_reason="SUCCESS"),
    ),
]


@pytest.mark.parametrize(("family", "output", "answer"), ANSWERS)
def test_answers(family: str, output: dict[str, Any], answer: Answer) -> None:
    """Every part is found. A part that the model does not give is None."""
    assert family_by_name(family).read(output) == answer


@pytest.mark.parametrize(
    ("text", "is_open", "parts"),
    [
        (None, False, (None, None)),
        ("", False, ("", None)),
        ("plain", True, ("plain", None)),
        ("a </t> b", False, ("a </t> b", None)),
        ("a <t>b</t>", False, ("a <t>b</t>", None)),
        ("a <t>b</t>", True, ("a <t>b</t>", None)),
        (" <t> hm </t>\r\n  a</t>", False, ("  a</t>", "hm")),
        ("<t>hm</t>", False, ("", "hm")),
        ("hm</t>a", True, ("a", "hm")),
        ("<t>hm</t>a", True, ("a", "hm")),
        ("</t>a", True, ("a", None)),
    ],
)
def test_reasoning_at_the_start_of_a_text_is_split_off(
    text: str | None, is_open: bool, parts: tuple[str | None, str | None]
) -> None:
    """A tag later in the text is part of it. White space inside the answer is kept."""
    assert split_reasoning(text, "t", is_open=is_open) == parts
