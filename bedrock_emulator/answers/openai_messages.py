"""A turn of a conversation as messages of OpenAI's chat completions.

OpenAI's API reference, "Create chat completion": tool calls are next to the content, each result
of a tool is a message of its own, and images and files are data URIs.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from bedrock_emulator.answers.prompt import Part, Turn


def messages_of(turn: Turn) -> list[dict[str, Any]]:
    """Return the messages of a turn: first the results of tools, then what else it says."""
    if not turn.parts:
        return [{"role": "user" if turn.role == "tool" else turn.role, "content": turn.text}]
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.call_id, "content": part.text}
        for part in turn.parts
        if part.kind == "result"
    ]
    calls = [_call(part) for part in turn.parts if part.kind == "call"]
    said = [part for part in turn.parts if part.kind not in ("result", "call", "reasoning")]
    reasoning = "".join(part.text for part in turn.parts if part.kind == "reasoning")
    if said or calls or reasoning:
        role = "user" if turn.role == "tool" else turn.role
        message: dict[str, Any] = {"role": role, "content": _content(said)}
        if calls:
            message["tool_calls"] = calls
        if reasoning:
            message["reasoning_content"] = reasoning
        messages.append(message)
    return messages


def _content(parts: list[Part]) -> Any:
    """Return a text, or the list of parts if some are no text; None if there are none."""
    if not parts:
        return None
    if not any(map(_has_data, parts)):
        return "\n".join(part.shown for part in parts)
    return [_content_part(part) for part in parts]


def _has_data(part: Part) -> bool:
    """Tell whether a part has data that a server can read."""
    try:
        return bool(base64.b64decode(part.data))
    except ValueError:
        return False


def _content_part(part: Part) -> dict[str, Any]:
    if not _has_data(part):
        return {"type": "text", "text": part.shown}
    uri = f"data:{part.media_type};base64,{part.data}"
    if part.kind == "image":
        return {"type": "image_url", "image_url": {"url": uri}}
    name = f"document.{part.media_type.rsplit('/', 1)[-1]}"
    return {"type": "file", "file": {"filename": name, "file_data": uri}}


def _call(part: Part) -> dict[str, Any]:
    arguments = json.dumps(part.input, ensure_ascii=False, default=str)
    function = {"name": part.name, "arguments": arguments}
    return {"id": part.call_id, "type": "function", "function": function}
