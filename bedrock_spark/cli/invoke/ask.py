"""Do what `bedrock-spark invoke` was asked to: one call, and the answer on the terminal."""

from __future__ import annotations

from contextlib import suppress

import click

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.invoke.options import Asked
from bedrock_spark.cli.invoke.printer import AnswerPrinter
from bedrock_spark.cli.invoke.question import Question, question_of
from bedrock_spark.cli.stages import DONE, FAILED, INTERRUPTED
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import (
    AnswerCutOffError,
    BedrockSparkError,
    InvokeError,
    InvokeRefusedError,
    NotStreamedError,
)
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.redact import redact
from bedrock_spark.invoke.stream import stream_answer

_ATTEMPTS = 5
# Who sits before a terminal is not kept waiting for a busy model longer than this.
_PATIENCE_SECONDS = 60.0
# Longer than a model thinks before a piece, or before a whole answer.
_READ_TIMEOUT_SECONDS = 300


class _ToldClock(SystemClock):
    """Says why nothing happens while a call waits to be repeated."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        note = f"no answer yet; asking again in {seconds:.1f} s"
        click.echo(click.style(note, dim=True), err=True)
        super().sleep(seconds)


def ask(asked: Asked, as_json: bool, shows_reasoning: bool) -> int:
    """Ask, print the answer, and return the exit code; an error is a message and not a trace."""
    clock = _ToldClock()
    question: Question | None = None
    printer: AnswerPrinter | None = None
    try:
        question = question_of(asked, clock)
        printer = AnswerPrinter(question, clock, shows_reasoning)
        _answer(question, printer, clock, as_json)
        printer.summarize()
    except BedrockSparkError as exc:
        if printer is not None:
            printer.end_line()
        Display().show_error(_said(exc, question))
        return FAILED
    except KeyboardInterrupt:
        if printer is not None:
            printer.end_line()
        return INTERRUPTED
    return DONE


def _answer(question: Question, printer: AnswerPrinter, clock: Clock, as_json: bool) -> None:
    client = runtime_client(question.aws, _READ_TIMEOUT_SECONDS, 1)
    unlimited = RateLimiter(clock, None, None, learns=False)
    caller = ModelCaller(
        client,
        question.model_id,
        question.family,
        unlimited,
        clock,
        _ATTEMPTS,
        until=clock.now() + _PATIENCE_SECONDS,
    )
    if as_json:
        printer.show_json(caller.ask(question.body))
        return
    if question.family.read_chunk is not None:
        with suppress(NotStreamedError):
            for part in stream_answer(caller, question.body):
                printer.show(part)
            return
    printer.show_whole(caller.ask(question.body))


def _said(exc: BedrockSparkError, question: Question | None) -> str:
    """Return what an error says, without what the service quotes of the body in it."""
    if question is None or not isinstance(exc, InvokeError | AnswerCutOffError):
        return str(exc)
    said = redact(str(exc), question.body)
    if isinstance(exc, AnswerCutOffError):
        return said
    advice = ""
    if isinstance(exc, InvokeRefusedError):
        advice = (
            " Check the id, its Region, and bedrock:InvokeModelWithResponseStream on it "
            "(with --json: bedrock:InvokeModel)"
        )
    return f"{question.model_id}: {said}{advice}"
