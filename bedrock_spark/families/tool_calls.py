"""The tool calls of an answer: which tool, and with what input.

`Answer.tool_input` has the input of the first call only, which is what a run needs. A person who
looks at an answer wants to see every call, with the name of its tool. The shapes are those that the
families read: Claude's Messages, Converse, OpenAI's chat completion and Cohere's Command R.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bedrock_spark.families.json_members import Json, at, json_text, text_at
from bedrock_spark.families.turns import ToolCall


def calls_of(output: Json) -> tuple[ToolCall, ...]:
    """Return the calls of a whole answer, in their order."""
    return tuple(_calls(output))


def _calls(output: Json) -> Iterator[ToolCall]:
    for block in (*_items(output, "content"), *_items(output, "output", "message", "content")):
        if at(block, "type") == "tool_use":
            yield _call(block, "name", "id", at(block, "input"))
        elif isinstance(at(block, "toolUse"), dict):
            use = at(block, "toolUse")
            yield _call(use, "name", "toolUseId", at(use, "input"))
    for each in _items(output, "choices", 0, "message", "tool_calls"):
        arguments = at(each, "function", "arguments")
        yield ToolCall(
            text_at(each, "function", "name"), text_at(each, "id"), json_text(arguments) or ""
        )
    yield from _of_command_r(output)


def begun_in(chunk: Json) -> ToolCall | None:
    """Return the call that begins with a chunk of a stream; None if none does.

    Its input follows in later chunks, except that of Command R, which is whole.
    """
    block = at(chunk, "content_block")
    if at(block, "type") == "tool_use":
        return _call(block, "name", "id", None)
    use = at(chunk, "contentBlockStart", "start", "toolUse")
    if use is not None:
        return _call(use, "name", "toolUseId", None)
    choice = at(chunk, "choices", 0)
    for each in _items(choice, "delta", "tool_calls") or _items(choice, "message", "tool_calls"):
        name = text_at(each, "function", "name")
        if name:
            return ToolCall(name, text_at(each, "id"))
    return next(_of_command_r(chunk), None)


def _of_command_r(output: Json) -> Iterator[ToolCall]:
    for each in _items(output, "tool_calls"):
        yield _call(each, "name", "id", at(each, "parameters"))


def _call(value: Any, name: str, identifier: str, given: Any) -> ToolCall:
    return ToolCall(text_at(value, name), text_at(value, identifier), json_text(given) or "")


def _items(value: Any, *path: str | int) -> list[Any]:
    found = at(value, *path)
    return found if isinstance(found, list) else []
