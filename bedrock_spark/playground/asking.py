"""Ask a model one question, and say what happens as events: the pieces, and then the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError, NotStreamedError
from bedrock_spark.families import Answer
from bedrock_spark.families.base import decode_output, read_answer
from bedrock_spark.families.json_members import Json
from bedrock_spark.families.signed_blocks import signed_blocks, signed_blocks_in
from bedrock_spark.families.tool_calls import begun_in, calls_of
from bedrock_spark.families.turns import ToolCall
from bedrock_spark.invoke.caller import Answered, ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.stream import stream_answer
from bedrock_spark.outputs.lines import replace_half_characters
from bedrock_spark.playground.embeddings import vectors_of
from bedrock_spark.playground.events import (
    Ended,
    Event,
    Failed,
    PictureMade,
    ReasoningPiece,
    TextPiece,
    Timing,
    ToolCallBegun,
    ToolInputPiece,
    VectorMade,
)
from bedrock_spark.playground.failures import is_billed, message_of
from bedrock_spark.playground.images import pictures_of
from bedrock_spark.playground.prices import CallPrice

_ATTEMPTS = 5
# How long to retry for a person who waits while the model is busy.
_PATIENCE_SECONDS = 60.0
# Longer than any model takes before its next piece, or before a whole answer.
_READ_TIMEOUT_SECONDS = 300
_CONNECTIONS = 10


@dataclass(frozen=True)
class Question:
    """One request: a body for a model.

    body: JSON in the form of the model's family
    record_id: of the record of a run that it is; None if it is none
    """

    model: ServedModel
    body: bytes
    aws: AwsSettings
    price: CallPrice = field(default_factory=CallPrice)
    record_id: str | None = None


def ask(question: Question, clock: Clock, *, streams: bool = True) -> Iterator[Event]:
    """Ask a question and yield what happens. An error of this package is the event Failed.

    streams: whether the answer is streamed if the family streams; if the service refuses the
        stream, the model is asked again without
    clock: waits before the call is repeated, which is done for a minute, and until the first piece
    To end an answer, close the iterator: then the connection is closed.
    """
    asked = _Asked(question, clock)
    try:
        yield from asked.events(streams)
    except BedrockSparkError as exc:
        yield Failed(exc, message_of(exc, question), asked.timing(), is_billed(exc))


def _caller(question: Question, clock: Clock) -> ModelCaller:
    return ModelCaller(
        client=runtime_client(question.aws, _READ_TIMEOUT_SECONDS, _CONNECTIONS),
        model_id=question.model.id,
        family=question.model.family,
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        attempts=_ATTEMPTS,
        until=clock.now() + _PATIENCE_SECONDS,
    )


# The counts of an answer. In a stream they are totals so far, so the last one of each counts.
_COUNTS = (
    *("input_tokens", "output_tokens", "reasoning_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "stop_reason"),
)


@dataclass
class _Asked:
    """The answer to a question, as far as it has come."""

    question: Question
    clock: Clock
    began: float = field(init=False)
    first: float | None = None
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _calls: list[tuple[ToolCallBegun, list[str]]] = field(default_factory=list)
    _counts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.clock.now()

    def timing(self) -> Timing:
        first = None if self.first is None else self.first - self.began
        return Timing(first, self.clock.now() - self.began)

    def events(self, streams: bool) -> Iterator[Event]:
        caller = _caller(self.question, self.clock)
        if streams and self.question.model.family.read_chunk is not None:
            with suppress(NotStreamedError):  # it comes before any piece
                yield from self._streamed(caller)
                return
        yield from self._whole(caller.answer(self.question.body))

    def _streamed(self, caller: ModelCaller) -> Iterator[Event]:
        chunks: list[Json] = []
        read = 0
        for piece in stream_answer(caller, self.question.body, chunks):
            for chunk in chunks[read:]:
                begun = begun_in(chunk)
                if begun is not None:
                    yield self._begin(ToolCallBegun(begun.name, begun.id))
            read = len(chunks)
            yield from self._shown(piece)
        ended = self._ended(self._joined(), self._made_calls(), _as_json(chunks), is_streamed=True)
        yield replace(ended, signed=signed_blocks_in(chunks))

    def _shown(self, piece: Answer) -> Iterator[Event]:
        """Yield what a piece of the stream adds, and remember it."""
        for name in _COUNTS:
            if getattr(piece, name) is not None:
                self._counts[name] = getattr(piece, name)
        if piece.reasoning:
            self._note_first()
            self._reasoning.append(piece.reasoning)
            yield ReasoningPiece(piece.reasoning)
        if piece.text:
            self._note_first()
            self._text.append(piece.text)
            yield TextPiece(piece.text)
        if piece.tool_input:
            self._note_first()
            if not self._calls:
                yield self._begin(ToolCallBegun(None, None))
            self._calls[-1][1].append(piece.tool_input)
            yield ToolInputPiece(piece.tool_input)

    def _begin(self, begun: ToolCallBegun) -> ToolCallBegun:
        self._calls.append((begun, []))
        return begun

    def _note_first(self) -> None:
        if self.first is None:
            self.first = self.clock.now()

    def _made_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(each.name, each.id, "".join(given)) for each, given in self._calls)

    def _joined(self) -> Answer:
        """Return the answer that the pieces of the stream make."""
        calls = self._made_calls()
        return Answer(
            text="".join(self._text) or None,
            reasoning="".join(self._reasoning) or None,
            tool_input=calls[0].input if calls else None,
            **self._counts,
        )

    def _whole(self, answered: Answered) -> Iterator[Event]:
        """Yield the parts of an answer that came at once."""
        output = decode_output(answered.output)
        answer = _with_counts(read_answer(answered.output, self.question.model.family), answered)
        calls = calls_of(output)
        if not answer.is_empty or answer.reasoning:
            self._note_first()
        if answer.reasoning:
            yield ReasoningPiece(answer.reasoning)
        if answer.text:
            yield TextPiece(answer.text)
        if answer.tool_input is not None and not calls:
            calls = (ToolCall(None, None, answer.tool_input),)
        for call in calls:
            yield ToolCallBegun(call.name, call.id)
            yield ToolInputPiece(call.input)
        for picture in pictures_of(answer, output, decode_output(self.question.body)):
            yield PictureMade(picture)
        if answer.embedding is not None or answer.has_other_vectors:
            for vector in vectors_of(output):
                yield VectorMade(vector)
        ended = self._ended(answer, calls, answered.output, is_streamed=False)
        yield replace(ended, signed=signed_blocks(output))

    def _ended(
        self, answer: Answer, calls: tuple[ToolCall, ...], output: bytes, *, is_streamed: bool
    ) -> Ended:
        return Ended(
            answer=answer,
            calls=calls,
            ending=self.question.model.family.ending_of(answer),
            output=output,
            is_streamed=is_streamed,
            timing=self.timing(),
            cost=self.question.price.cost(answer),
        )


def _with_counts(answer: Answer, answered: Answered) -> Answer:
    """Return the answer with the counts of the reply's headers, if it has none of its own."""
    given, made = answered.counted
    return msgspec.structs.replace(
        answer,
        input_tokens=given if answer.input_tokens is None else answer.input_tokens,
        output_tokens=made if answer.output_tokens is None else answer.output_tokens,
    )


def _as_json(chunks: list[Json]) -> bytes:
    try:
        return msgspec.json.encode(chunks)
    except UnicodeEncodeError:  # half a surrogate pair: the model stopped within a character
        text = json.dumps(chunks, default=msgspec.to_builtins).encode()
        return replace_half_characters(text)
