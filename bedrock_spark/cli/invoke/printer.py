"""An answer on the terminal: its text on stdout as it comes, all that is about it on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import msgspec

from bedrock_spark.cli.invoke.question import Question
from bedrock_spark.clock import Clock
from bedrock_spark.families import Answer
from bedrock_spark.families.base import answer_of

_LONGEST_LIST, _LONGEST_WORD = 8, 200
_SHOWN_OF_LIST, _SHOWN_OF_WORD = 3, 40
# What an answer might do to a terminal, beyond new lines and tabs.
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})


class AnswerPrinter:
    """Prints one answer, and at its end what it took."""

    def __init__(self, question: Question, clock: Clock, shows_reasoning: bool) -> None:
        self._question = question
        self._clock = clock
        self._shows_reasoning = shows_reasoning
        self._asked_at = clock.now()
        self._first_at: float | None = None
        self._kind: str | None = None
        self._is_line_open = False
        self._stop_reason: str | None = None
        self._tokens: dict[str, int] = {}

    def show(self, part: Answer) -> None:
        """Print what a piece adds."""
        self._note(part)
        for kind in ("reasoning", "text", "tool_input"):
            piece = getattr(part, kind)
            if not piece:
                continue
            self._first_at = self._first_at or self._clock.now()
            if kind != "reasoning" or self._shows_reasoning:
                self._print(kind, piece)

    def show_json(self, output: bytes) -> None:
        """Print a whole answer in the model's own format."""
        self._note(self._read(output))
        click.echo(output.decode())

    def show_whole(self, output: bytes) -> None:
        """Print an answer that came at once: its text, or the JSON of vectors and images, cut."""
        part = self._read(output)
        if part.text or part.tool_input:
            self.show(part)
            return
        self._note(part)
        shown = shortened(msgspec.json.decode(output))
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))

    def end_line(self) -> None:
        """End the line that is open, so that what follows stands on one of its own."""
        if self._is_line_open:
            click.echo(err=self._kind == "reasoning")
            self._is_line_open = False

    def summarize(self) -> None:
        """Print what the answer took."""
        self.end_line()
        tokens = [f"{count:,} {way}" for way, count in self._tokens.items()]
        seconds = f"{self._clock.now() - self._asked_at:.1f} s"
        if self._first_at is not None:
            seconds = (
                f"first piece after {self._first_at - self._asked_at:.1f} s, all after {seconds}"
            )
        record = self._question.record_id
        told = [
            *([f"record {record}"] if record else []),
            *([f"tokens: {', '.join(tokens)}"] if tokens else []),
            *([self._stop_reason] if self._stop_reason else []),
            seconds,
        ]
        click.echo(click.style("; ".join(told), dim=True), err=True)

    def _read(self, output: bytes) -> Answer:
        return answer_of(output, self._question.family.read)

    def _note(self, part: Answer) -> None:
        self._stop_reason = part.stop_reason or self._stop_reason
        for way, count in (("in", part.input_tokens), ("out", part.output_tokens)):
            if count is not None:
                self._tokens[way] = count

    def _print(self, kind: str, piece: str) -> None:
        if kind != self._kind:
            self.end_line()
        self._kind = kind
        is_aside = kind == "reasoning"
        if (sys.stderr if is_aside else sys.stdout).isatty():
            piece = piece.translate(_CONTROLS)
        click.echo(click.style(piece, dim=True) if is_aside else piece, nl=False, err=is_aside)
        self._is_line_open = not piece.endswith("\n")


def shortened(value: Any) -> Any:
    """Return an answer without the bulk of its vectors and of its images in base64."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        is_vector = len(value) > _LONGEST_LIST and not isinstance(value[0], dict | list)
        if not is_vector:
            return [shortened(item) for item in value]
        return [*value[:_SHOWN_OF_LIST], f"… {len(value) - _SHOWN_OF_LIST:,} more"]
    if isinstance(value, str) and len(value) > _LONGEST_WORD and not any(map(str.isspace, value)):
        return f"{value[:_SHOWN_OF_WORD]}… {len(value) - _SHOWN_OF_WORD:,} characters more"
    return value
