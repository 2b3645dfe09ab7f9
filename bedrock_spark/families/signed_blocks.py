"""The blocks of an answer that thinks and calls tools, as the model gave them.

Claude signs its thinking. If it has a budget of thinking, it takes the results of tools only after
the whole answer that called them, with its thinking unchanged and in its place: Claude docs,
"Extended thinking", "Preserving thinking blocks"; chunks of a stream: "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bedrock_spark.families.json_members import Json, at, text_at

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
# The text members of a block that a stream fills piece by piece, by the kind of the piece.
_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}

Blocks = tuple[dict[str, Any], ...]


def is_thought(block: Any) -> bool:
    """Tell whether a block is thinking, readable or redacted."""
    return at(block, "type") in _THOUGHTS


def signed_blocks(output: Json) -> Blocks:
    """Return the blocks of a whole answer; () if it does not both think and call a tool."""
    content = at(output, "content")
    return _kept(content if isinstance(content, list) else ())


def signed_blocks_in(chunks: Iterable[Json]) -> Blocks:
    """Return the blocks that a stream makes; () if they do not both think and call a tool."""
    blocks: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    for chunk in chunks:
        begun, delta = at(chunk, "content_block"), at(chunk, "delta")
        kind = text_at(delta, "type")
        if isinstance(begun, dict):
            blocks.append(dict(begun))
        elif blocks and kind in _GROWING:
            name = _GROWING[kind]
            blocks[-1][name] = f"{blocks[-1].get(name) or ''}{text_at(delta, name) or ''}"
        elif blocks and kind == "input_json_delta":
            place = len(blocks) - 1
            inputs[place] = inputs.get(place, "") + (text_at(delta, "partial_json") or "")
    try:
        for place, text in inputs.items():
            blocks[place]["input"] = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return ()  # the call itself cannot be sent back, which `ToolCall.decoded_input` says
    return _kept(blocks)


def _kept(blocks: Iterable[Any]) -> Blocks:
    """Return the blocks that can be sent back. The service refuses a block of blank text."""
    found = tuple(
        block
        for block in blocks
        if isinstance(block, dict)
        and not (block.get("type") == "text" and not (text_at(block, "text") or "").strip())
    )
    has_call = any(at(block, "type") == "tool_use" for block in found)
    return found if has_call and any(map(is_thought, found)) else ()
