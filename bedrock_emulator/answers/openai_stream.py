"""The streamed answer of an OpenAI-compatible server, as pieces.

Its events are server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.
Their data are chunks of a chat completion; the last is `[DONE]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bedrock_emulator.answers.openai_server import model_error
from bedrock_emulator.answers.prompt import Completion, Piece, Pieces, Prompt, Stop, ToolCall
from bedrock_emulator.answers.tokens import count_tokens, tokens_of_call

_STOP: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool",
    "content_filter": "refusal",
}


def completion_of(
    text: str,
    reasoning: str,
    calls: tuple[ToolCall, ...],
    reason: Any,
    usage: Any,
    prompt: Prompt,
) -> Completion:
    """Return a whole answer. Tokens that the server does not count are counted here.

    reason: the server's word for why the answer ended; usage: its counts of tokens
    """
    usage = usage if isinstance(usage, dict) else {}
    written = count_tokens(text) + sum(tokens_of_call(call.name, call.input) for call in calls)
    details = usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return Completion(
        text=text,
        input_tokens=int(usage.get("prompt_tokens") or count_tokens(prompt.text)),
        output_tokens=int(usage.get("completion_tokens") or written + count_tokens(reasoning)),
        stop="tool" if calls else _STOP.get(str(reason), "end"),
        tool_calls=calls,
        reasoning=reasoning,
        reasoning_tokens=thought if isinstance(thought, int) else count_tokens(reasoning),
    )


def read_stream(lines: Iterable[bytes], prompt: Prompt) -> Pieces:
    """Yield each piece as soon as its event is there.

    Raise ServiceError if the server sends an error, or ends before the answer has ended.
    """
    answer = _Answer()
    try:
        for data in _data(lines):
            if data == "[DONE]":
                break
            yield from answer.read(json.loads(data))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as exc:
        raise model_error("sent an event that is no piece of an answer") from exc
    if answer.reason is None:
        raise model_error("ended its stream before the answer had ended")
    yield answer.whole(prompt)


def _data(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event. Other fields and comments do not count."""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


class _Answer:
    """What has been read of an answer."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._usage: Any = None
        self._text = self._reasoning = ""
        self._calls: list[_Call] = []

    def read(self, chunk: dict[str, Any]) -> Iterator[Piece]:
        if chunk.get("error"):
            raise model_error("failed while it streamed its answer")
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if reasoning:
                self._reasoning += reasoning
                yield Piece("reasoning", reasoning)
            if delta.get("content"):
                self._text += delta["content"]
                yield Piece("text", delta["content"])
            for call in delta.get("tool_calls") or ():
                yield from self._read_call(call)
            self.reason = choice.get("finish_reason") or self.reason

    def _read_call(self, delta: dict[str, Any]) -> Iterator[Piece]:
        """Read a piece of a call. Bedrock streams one call after the other."""
        index, function = int(delta.get("index") or 0), delta.get("function") or {}
        if index == len(self._calls):
            call = _Call(delta.get("id") or f"tooluse_{index}", function["name"])
            self._calls.append(call)
            yield Piece("call", "", call.call_id, call.name)
        elif index != len(self._calls) - 1:
            raise ValueError("pieces of several calls at once")
        call, arguments = self._calls[-1], function.get("arguments")
        if arguments:
            call.arguments += arguments
            yield Piece("call", arguments, call.call_id, call.name)

    def whole(self, prompt: Prompt) -> Completion:
        calls = tuple(call.whole() for call in self._calls)
        return completion_of(self._text, self._reasoning, calls, self.reason, self._usage, prompt)


class _Call:
    """A tool call that is being read."""

    def __init__(self, call_id: str, name: str) -> None:
        self.call_id, self.name, self.arguments = call_id, name, ""

    def whole(self) -> ToolCall:
        try:
            value = json.loads(self.arguments or "{}")
        except ValueError as exc:
            raise model_error("sent a tool call whose input is no JSON") from exc
        return ToolCall(
            self.call_id, self.name, value if isinstance(value, dict) else {"value": value}
        )
