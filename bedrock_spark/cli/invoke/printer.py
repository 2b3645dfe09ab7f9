"""Print an answer: its text on stdout as it arrives, everything about it on stderr."""

from __future__ import annotations

import json
import sys

import click
import msgspec

from bedrock_spark.cli.invoke.question import Question
from bedrock_spark.clock import Clock
from bedrock_spark.families import Answer
from bedrock_spark.families.base import read_answer
from bedrock_spark.page.short_values import shortened

# Control characters, except newline and tab: an answer must not change the terminal.
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})


class AnswerPrinter:
    """Prints one answer, and then its tokens and seconds."""

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

    def show(self, piece: Answer) -> None:
        """Print one piece of the answer."""
        self._remember(piece)
        for kind in ("reasoning", "text", "tool_input"):
            text = getattr(piece, kind)
            if not text:
                continue
            self._first_at = self._first_at or self._clock.now()
            if kind != "reasoning" or self._shows_reasoning:
                self._print(kind, text)

    def show_json(self, output: bytes) -> None:
        """Print a whole answer in the model's own format."""
        self._remember(self._read(output))
        click.echo(output.decode())

    def show_whole(self, output: bytes) -> None:
        """Print an answer that was not streamed: its text, or else its JSON, shortened."""
        answer = self._read(output)
        if answer.text or answer.tool_input:
            self.show(answer)
            return
        self._remember(answer)
        shown = shortened(msgspec.json.decode(output))
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))

    def end_line(self) -> None:
        """End a line that is not complete, so that the next output begins on a new line."""
        if self._is_line_open:
            click.echo(err=self._kind == "reasoning")
            self._is_line_open = False

    def summarize(self) -> None:
        """Print the record id, the tokens, the stop reason and the seconds, as far as known."""
        self.end_line()
        tokens = [f"{count:,} {direction}" for direction, count in self._tokens.items()]
        seconds = f"{self._clock.now() - self._asked_at:.1f} s"
        if self._first_at is not None:
            seconds = (
                f"first piece after {self._first_at - self._asked_at:.1f} s, all after {seconds}"
            )
        record = self._question.record_id
        facts = [
            *([f"record {record}"] if record else []),
            *([f"tokens: {', '.join(tokens)}"] if tokens else []),
            *([self._stop_reason] if self._stop_reason else []),
            seconds,
        ]
        click.echo(click.style("; ".join(facts), dim=True), err=True)

    def _read(self, output: bytes) -> Answer:
        return read_answer(output, self._question.family)

    def _remember(self, piece: Answer) -> None:
        self._stop_reason = piece.stop_reason or self._stop_reason
        for direction, count in (("in", piece.input_tokens), ("out", piece.output_tokens)):
            if count is not None:
                self._tokens[direction] = count

    def _print(self, kind: str, text: str) -> None:
        if kind != self._kind:
            self.end_line()
        self._kind = kind
        is_reasoning = kind == "reasoning"
        if (sys.stderr if is_reasoning else sys.stdout).isatty():
            text = text.translate(_CONTROLS)
        shown = click.style(text, dim=True) if is_reasoning else text
        click.echo(shown, nl=False, err=is_reasoning)
        self._is_line_open = not text.endswith("\n")
