"""The content of a message, read from the blocks of any API into one form.

Three APIs have blocks of their own: Anthropic's Messages (`{"type": "tool_use", …}`), Converse and
Nova (`{"toolUse": {…}}`), and OpenAI's chat (`{"type": "image_url", …}`, with tool calls beside the
content). Any of their members may hold anything: what cannot be read is `other`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bedrock_emulator.answers.prompt import Part, Turn

_MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
}


def turn_of(role: str, content: Any, calls: Any = None, call_id: Any = None) -> Turn:
    """Return a message as a turn. Its role is `tool` if it has the result of a call.

    calls, call_id: the tool calls beside OpenAI's content, and the call that a result is for
    """
    parts = [*parts_of(content), *_openai_calls(calls)]
    if role == "tool":
        name = call_id if isinstance(call_id, str) else ""
        parts = [Part("result", text="\n".join(part.shown for part in parts), call_id=name)]
    if any(part.kind == "result" for part in parts):
        role = "tool"
    return Turn(role, "\n".join(part.shown for part in parts), tuple(parts))


def text_of(content: Any) -> str:
    """Return the text of a message's content. Parts that have no text become `[kind]`."""
    return "\n".join(part.shown for part in parts_of(content))


def parts_of(content: Any) -> list[Part]:
    """Return the parts of a message's content: a text, or blocks. Marks for the cache are none."""
    if isinstance(content, str):
        return [Part("text", text=content)]
    blocks = content if isinstance(content, list) else []
    return [_part(block) for block in blocks if not _is_cache_point(block)]


def _is_cache_point(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("cachePoint") is not None


def _part(block: Any) -> Part:
    if isinstance(block, str):
        return Part("text", text=block)
    if not isinstance(block, Mapping):
        return Part("other", name="part")
    if isinstance(block.get("text"), str):
        return Part("text", text=block["text"])
    kind = block.get("type")
    if isinstance(kind, str):
        return _typed(kind, block)
    kind = next((name for name, value in block.items() if value is not None), "part")
    value = block.get(kind)
    return _union(str(kind), value) if isinstance(value, Mapping) else Part("other", name=str(kind))


def _typed(kind: str, block: Mapping[str, Any]) -> Part:
    """Read a block of Anthropic's or OpenAI's API."""
    if kind == "tool_use":
        return Part("call", name=_text(block, "name"), call_id=_text(block, "id"),
                    input=block.get("input"))  # fmt: skip
    if kind == "tool_result":
        return _result(_text(block, "tool_use_id"), block.get("content"))
    if kind == "thinking":
        return Part("reasoning", text=_text(block, "thinking"))
    source = block.get("source")
    if kind in ("image", "document") and isinstance(source, Mapping):
        if isinstance(source.get("data"), str):
            media_type = _text(source, "media_type")
            if media_type.startswith("text/"):
                return Part("document", text=source["data"])
            return _binary(kind, source["data"], media_type)
        return Part("document", text=text_of(source.get("content")))
    if kind == "image_url":
        image = block.get("image_url")
        url = _text(image, "url") if isinstance(image, Mapping) else str(image)
        head, _, data = url.partition(";base64,")
        return _binary("image", data, head.removeprefix("data:"))
    return Part("other", name=kind)


def _union(kind: str, value: Mapping[str, Any]) -> Part:
    """Read a block of Converse or Nova, whose key is its kind."""
    if kind == "toolUse":
        return Part("call", name=_text(value, "name"), call_id=_text(value, "toolUseId"),
                    input=value.get("input"))  # fmt: skip
    if kind == "toolResult":
        return _result(_text(value, "toolUseId"), value.get("content"))
    if kind == "json":
        return Part("text", text=_json(value))
    if kind == "reasoningContent":
        inner = value.get("reasoningText")
        return Part("reasoning", text=_text(inner, "text") if isinstance(inner, Mapping) else "")
    if kind == "guardContent":
        inner = value.get("text")
        return Part("text", text=_text(inner, "text") if isinstance(inner, Mapping) else "")
    if kind == "citationsContent":
        return Part("text", text=text_of(value.get("content")))
    source = value.get("source")
    if kind in ("image", "document") and isinstance(source, Mapping):
        if isinstance(source.get("text"), str):
            return Part("document", text=source["text"])
        form = _text(value, "format")
        return _binary(kind, source.get("bytes"), _MEDIA_TYPES.get(form, f"text/{form}"))
    return Part("other", name=kind)


def _result(call_id: str, content: Any) -> Part:
    """Return a tool's result. Its text counts; images in it are named only."""
    blocks = content if isinstance(content, list) else [content]
    texts = []
    for block in blocks:
        if isinstance(block, Mapping) and "json" in block:
            texts.append(_json(block["json"]))
        elif block is not None:
            texts.append(text_of([block]))
    return Part("result", text="\n".join(texts), call_id=call_id)


def _binary(kind: Any, data: Any, media_type: str) -> Part:
    """Return an image or a document. `data` is base64, or bytes.

    Images stay as they are: most of them are never looked at.
    """
    text = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    if not isinstance(text, str):
        return Part(kind, media_type=media_type)
    if kind == "document" and media_type.startswith("text/"):
        try:
            return Part("document", text=base64.b64decode(text).decode("utf-8", "replace"))
        except ValueError:
            return Part("other", name=kind)
    return Part(kind, data=text, media_type=media_type)


def _openai_calls(calls: Any) -> Iterator[Part]:
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue
        arguments = function.get("arguments")
        try:
            value = json.loads(arguments) if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError):
            value = arguments
        yield Part("call", name=_text(function, "name"), call_id=_text(call, "id"), input=value)


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
