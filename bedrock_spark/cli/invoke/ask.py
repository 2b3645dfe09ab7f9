"""Run `bedrock-spark invoke`: one call to a model, and its answer on the terminal."""

from __future__ import annotations

from contextlib import suppress

import click

from bedrock_spark.aws.clients import model_client, runtime_client
from bedrock_spark.aws.model_refusals import with_advice
from bedrock_spark.aws.profiles import refusal_advice
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.invoke.options import AskOptions
from bedrock_spark.cli.invoke.printer import AnswerPrinter
from bedrock_spark.cli.invoke.question import Question, question_of
from bedrock_spark.cli.output import Output
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import (
    AnswerCutOffError,
    BedrockSparkError,
    ExitCode,
    InvokeError,
    InvokeRefusedError,
    NotStreamedError,
)
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.invoke.redact import redact
from bedrock_spark.invoke.stream import stream_answer

_ATTEMPTS = 5
# How long to retry for the user at a terminal while the model is busy.
_PATIENCE_SECONDS = 60.0
# Longer than any model takes before its next piece, or before a whole answer.
_READ_TIMEOUT_SECONDS = 300


class _AnnouncingClock(SystemClock):
    """A clock that prints a line before each wait: here, only retries wait."""

    def sleep(self, seconds: float) -> None:
        """Say why nothing happens, and wait."""
        note = f"no answer yet; asking again in {seconds:.1f} s"
        click.echo(click.style(note, dim=True), err=True)
        super().sleep(seconds)


def ask(options: AskOptions, output: Output, shows_reasoning: bool) -> int:
    """Ask the question, print the answer, and return the exit code.

    An error of this package is printed as a message without a traceback.
    """
    clock = SystemClock() if output.is_quiet else _AnnouncingClock()
    display = Display(output)
    question: Question | None = None
    printer: AnswerPrinter | None = None
    try:
        question = question_of(options, clock)
        printer = AnswerPrinter(question, clock, shows_reasoning)
        _answer(question, printer, clock, output.as_json)
        printer.end_line()
        if not output.is_quiet:
            printer.summarize()
    except BedrockSparkError as exc:
        if printer is not None:
            printer.end_line()
        return display.fail_with(exc.exit_code, _message(exc, question), topic=exc.topic)
    except KeyboardInterrupt:
        if printer is not None:
            printer.end_line()
        return display.fail_quietly(ExitCode.INTERRUPTED, "interrupted")
    return ExitCode.DONE


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
            for piece in stream_answer(caller, question.body):
                printer.show(piece)
            return
    printer.show_whole(caller.ask(question.body))


def _message(exc: BedrockSparkError, question: Question | None) -> str:
    """Return the message of an error, without the quotes of the body that the service puts in."""
    if question is None or not isinstance(exc, InvokeError | AnswerCutOffError):
        return str(exc)
    message = redact(str(exc), question.body)
    if isinstance(exc, AnswerCutOffError):
        return message
    if isinstance(exc, InvokeRefusedError):
        client = model_client(question.aws)
        advice = refusal_advice(str(exc), client, question.model_id) or (
            "Check the id, its Region, and bedrock:InvokeModelWithResponseStream on it "
            "(with --json: bedrock:InvokeModel)"
        )
        message = with_advice(message, advice)
    return f"{question.model_id}: {message}"
