"""Print an answer: its parts on stdout as they arrive, everything about it on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from bedrock_spark.cli.invoke.pictures import PicturePlace
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.families.base import decode_output
from bedrock_spark.page.short_values import shortened
from bedrock_spark.playground.asking import Question
from bedrock_spark.playground.embeddings import Vector
from bedrock_spark.playground.events import (
    Ended,
    PictureMade,
    Piece,
    ReasoningPiece,
    TextPiece,
    ToolCallBegun,
    ToolInputPiece,
    VectorMade,
)

# Control characters, except newline and tab: an answer must not change the terminal.
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})
_SHOWN_NUMBERS = 4


class AnswerPrinter:
    """Prints one answer, and then what is known about it."""

    def __init__(self, question: Question, place: PicturePlace, shows_reasoning: bool) -> None:
        self._question = question
        self._place = place
        self._shows_reasoning = shows_reasoning
        self._kind: type[Piece] | None = None
        self._is_line_open = False
        self._has_shown = False

    def show(self, piece: Piece) -> None:
        """Print one piece of the answer. Raises StorageError if a picture cannot be written."""
        if isinstance(piece, ReasoningPiece):
            if self._shows_reasoning:
                self._print(piece, piece.text)
            return
        self._has_shown = True
        if isinstance(piece, TextPiece | ToolInputPiece):
            self._print(piece, piece.text)
        elif isinstance(piece, ToolCallBegun):
            self.end_line()
            if piece.name is not None:
                click.echo(click.style(f"calls {_printable(piece.name)} with", dim=True), err=True)
        elif isinstance(piece, VectorMade):
            click.echo(_words_of(piece.vector))
        elif isinstance(piece, PictureMade):
            self._place.show(self._question.model.id, piece.picture)

    def finish(self, end: Ended) -> None:
        """End the answer. If nothing of it could be shown, print it as JSON, shortened."""
        self.end_line()
        if not self._has_shown and not end.is_streamed:
            shown = shortened(decode_output(end.output))
            click.echo(json.dumps(shown, indent=2, ensure_ascii=False))

    def end_line(self) -> None:
        """End a line that is not complete, so that the next output begins on a new line."""
        if self._is_line_open:
            click.echo(err=self._kind is ReasoningPiece)
            self._is_line_open = False

    def summarize(self, end: Ended, *more: str) -> None:
        """Print the record id, the tokens, the stop reason, the cost and the seconds.

        more: further facts
        """
        record = self._question.record_id
        facts = [
            *([f"record {record}"] if record else []),
            *tokens_facts(end),
            *([_printable(end.answer.stop_reason)] if end.answer.stop_reason else []),
            *self._cost(end),
            _seconds(end),
            *more,
        ]
        click.echo(click.style("; ".join(facts), dim=True), err=True)

    def _cost(self, end: Ended) -> list[str]:
        if end.cost is not None:
            return [small_dollars(end.cost)]
        return ["paid by the hour"] if self._question.price.is_by_hour else []

    def _print(self, piece: Piece, text: str) -> None:
        if type(piece) is not self._kind:
            self.end_line()
        self._kind = type(piece)
        is_reasoning = isinstance(piece, ReasoningPiece)
        if (sys.stderr if is_reasoning else sys.stdout).isatty():
            text = _printable(text)
        if not text:
            return
        shown = click.style(text, dim=True) if is_reasoning else text
        click.echo(shown, nl=False, err=is_reasoning)
        self._is_line_open = not text.endswith("\n")


def tokens_facts(end: Ended) -> list[str]:
    """Return the tokens in words, in a list of its own; [] if none are counted."""
    counts: dict[str, Any] = {"in": end.answer.input_tokens, "out": end.answer.output_tokens}
    known = [f"{count:,} {way}" for way, count in counts.items() if count is not None]
    return [f"tokens: {', '.join(known)}"] if known else []


def _seconds(end: Ended) -> str:
    seconds = f"{end.timing.all:.1f} s"
    if end.timing.first is None or not end.is_streamed:
        return seconds
    return f"first piece after {end.timing.first:.1f} s, all after {seconds}"


def _words_of(vector: Vector) -> str:
    """Return `embedding: 1,024 numbers (float), norm 1.0000: 0.0123, -0.0456, …`."""
    numbers = ", ".join(f"{number:.4g}" for number in vector.numbers[:_SHOWN_NUMBERS])
    more = ", …" if len(vector.numbers) > _SHOWN_NUMBERS else ""
    unit = "bits" if vector.is_packed else "numbers"
    norm = "" if vector.is_packed else f", norm {vector.norm:.4f}"
    return f"embedding: {vector.length:,} {unit} ({vector.type}){norm}: {numbers}{more}"


def _printable(text: str) -> str:
    return text.translate(_CONTROLS)
