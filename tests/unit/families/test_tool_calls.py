"""The tool calls of an answer, and those that begin in a stream, in every shape."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.families.tool_calls import ToolCall, begun_in, calls_of

CALLS = (ToolCall("look", "c1", '{"a":1}'), ToolCall("see", "c2", '{"b":"é"}'))
WHOLE: dict[str, dict[str, Any]] = {
    "anthropic": {
        "content": [
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "see", "input": {"b": "é"}},
        ]
    },
    "converse": {
        "output": {
            "message": {
                "content": [
                    {"text": "x", "toolUse": None},
                    {"toolUse": {"toolUseId": "c1", "name": "look", "input": {"a": 1}}},
                    {"toolUse": {"toolUseId": "c2", "name": "see", "input": {"b": "é"}}},
                ]
            }
        }
    },
    "openai": {
        "choices": [
            {
                "message": {
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "function": {"name": "look", "arguments": '{"a":1}'}},
                        {"id": "c2", "function": {"name": "see", "arguments": '{"b":"é"}'}},
                    ],
                }
            }
        ]
    },
}


@pytest.mark.parametrize("shape", WHOLE)
def test_all_calls_are_read(shape: str) -> None:
    assert calls_of(WHOLE[shape]) == CALLS


def test_command_r_has_calls_without_an_id() -> None:
    output = {"text": "x", "tool_calls": [{"name": "look", "parameters": {"a": 1}}]}
    assert calls_of(output) == (ToolCall("look", None, '{"a":1}'),)
    assert begun_in(output) == ToolCall("look", None, '{"a":1}')


@pytest.mark.parametrize(
    "output", [{}, {"content": "x"}, {"content": [None, 1]}, {"choices": []}, {"tool_calls": {}}]
)
def test_other_answers_have_none(output: dict[str, Any]) -> None:
    """Whatever they hold."""
    assert calls_of(output) == ()
    assert begun_in(output) is None


@pytest.mark.parametrize(
    "chunk",
    [
        {
            "type": "content_block_start",
            "content_block": {"type": "tool_use", "id": "c1", "name": "look", "input": {}},
        },
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "c1", "name": "look"}}}},
        {
            "choices": [
                {"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look"}}]}}
            ]
        },
        {"choices": [{"message": {"tool_calls": [{"id": "c1", "function": {"name": "look"}}]}}]},
    ],
)
def test_a_call_that_begins_is_seen(chunk: dict[str, Any]) -> None:
    """Its input comes in later chunks."""
    assert begun_in(chunk) == ToolCall("look", "c1")


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "content_block_delta", "delta": {"partial_json": "{"}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{"}}}},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]},
    ],
)
def test_a_piece_of_an_input_begins_no_call(chunk: dict[str, Any]) -> None:
    assert begun_in(chunk) is None
