"""The blocks of an answer that thinks and calls tools, whole and from a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bedrock_spark.families.signed_blocks import signed_blocks, signed_blocks_in

THOUGHT = {"type": "thinking", "thinking": "Look it up.", "signature": "c2lnbmVk"}
HIDDEN = {"type": "thinking", "thinking": "", "signature": "c2Vj"}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}
TEXT = {"type": "text", "text": "I look\n"}
CALL = {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"id": 17, "all": [True, "é"]}}
EMPTY = {"type": "tool_use", "id": "c2", "name": "now", "input": {}}


def events(blocks: list[dict[str, Any]], cut: int = 3) -> Iterator[dict[str, Any]]:
    """Stream blocks as the Messages API does, each text in pieces of `cut` characters."""
    yield {"type": "message_start", "message": {"content": []}}
    for index, block in enumerate(blocks):
        kind = block["type"]
        started: dict[str, Any] = dict(block)
        parts: list[tuple[str, str, str]] = []
        if kind == "thinking":
            started = {"type": kind, "thinking": "", "signature": ""}
            parts = [("thinking_delta", "thinking", block["thinking"])]
            parts += [("signature_delta", "signature", block["signature"])]
        elif kind == "text":
            started = {"type": kind, "text": ""}
            parts = [("text_delta", "text", block["text"])]
        elif kind == "tool_use":
            started = {**block, "input": {}}
            given = json.dumps(block["input"]) if block["input"] else ""
            parts = [("input_json_delta", "partial_json", given)]
        yield {"type": "content_block_start", "index": index, "content_block": started}
        for name, member, text in parts:
            size = len(text) if name == "signature_delta" else cut
            for at in range(0, len(text), size or 1):
                delta = {"type": name, member: text[at : at + size]}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}


@pytest.mark.parametrize(
    ("blocks", "is_kept"),
    [
        ([THOUGHT, CALL], True),
        ([THOUGHT, TEXT, CALL, EMPTY], True),
        ([REDACTED, THOUGHT, CALL], True),
        ([THOUGHT, TEXT, REDACTED, EMPTY], True),
        ([HIDDEN, CALL], True),
        ([CALL], False),
        ([THOUGHT, TEXT], False),
        ([], False),
    ],
)
def test_the_blocks_are_those_of_the_model(blocks: list[dict[str, Any]], is_kept: bool) -> None:
    """In their order and unchanged, whether they came at once or in pieces."""
    expected = tuple(blocks) if is_kept else ()
    assert signed_blocks({"content": blocks}) == expected
    for cut in (1, 3, 1_000):
        assert signed_blocks_in(events(blocks, cut)) == expected


def test_a_block_of_blank_text_is_left_out() -> None:
    """The service refuses it."""
    blocks = [THOUGHT, {"type": "text", "text": "\n"}, CALL]
    assert signed_blocks({"content": blocks}) == (THOUGHT, CALL)
    assert signed_blocks_in(events(blocks)) == (THOUGHT, CALL)


@pytest.mark.parametrize("content", [None, "x", [1, None], [{}]])
def test_what_is_no_answer_of_claude_has_none(content: Any) -> None:
    output = {"content": content}
    assert signed_blocks(output) == ()
    assert signed_blocks_in([output, {"delta": {"text": "x", "type": "text_delta"}}]) == ()


def test_a_call_that_was_cut_off_has_no_blocks() -> None:
    """Its input is no JSON, and nothing can be sent back."""
    begun = {"content_block": {**CALL, "input": {}}}
    part = {"delta": {"type": "input_json_delta", "partial_json": '{"id": 1'}}
    assert signed_blocks_in([{"content_block": dict(THOUGHT)}, begun, part]) == ()
