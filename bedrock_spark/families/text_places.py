"""Where the texts are that a model reads, in a request body of any family.

Inputs and outputs of tools, and schemas, may use the same keys for other things, so they are left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TEXT_KEYS = ("text", "prompt", "inputText", "message")
TOOL_KEYS = (
    *("tools", "toolConfig", "input", "json", "parameters"),
    *("output_config", "output_format", "outputConfig", "response_format"),
)


def members(value: Any, place: str, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Yield every member of every object in a JSON value: its key path, key and value.

    skip: the keys of members to leave out, with all that is below them
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in skip:
                yield f"{place}.{key}", key, item
                yield from members(item, f"{place}.{key}", skip)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from members(item, f"{place}[{i}]", skip)


def texts(body: Mapping[str, Any], root: str) -> Iterator[tuple[str, str]]:
    """Yield every text that a model reads, with its key path.

    A message's `content` counts if it is text and the message has no tool call, which needs no
    text.
    """
    for place, key, value in members(body, root, skip=TOOL_KEYS):
        if key in TEXT_KEYS and isinstance(value, str):
            yield place, value
        elif key == "texts" and isinstance(value, (list, tuple)):
            yield from ((f"{place}[{i}]", v) for i, v in enumerate(value) if isinstance(v, str))
    for i, message in enumerate(messages(body)):
        content = message.get("content")
        if isinstance(content, str) and not message.get("tool_calls"):
            yield f"{root}.messages[{i}].content", content


def messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the messages of a body; an item that is no object is an empty one."""
    items = body.get("messages")
    listed = items if isinstance(items, (list, tuple)) else ()
    return [item if isinstance(item, Mapping) else {} for item in listed]
