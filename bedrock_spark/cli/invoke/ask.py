"""Run `bedrock-spark invoke`: one call to a model, and its answer on the terminal."""

from __future__ import annotations

import click

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.invoke.options import AskOptions
from bedrock_spark.cli.invoke.pictures import picture_place
from bedrock_spark.cli.invoke.printer import AnswerPrinter
from bedrock_spark.cli.invoke.question import question_of
from bedrock_spark.cli.output import Output
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.playground.asking import Question
from bedrock_spark.playground.asking import ask as ask_model
from bedrock_spark.playground.events import Ended, Failed, PictureMade


class _AnnouncingClock(SystemClock):
    """A clock that prints a line before each wait: here, only retries wait."""

    def sleep(self, seconds: float) -> None:
        """Say why nothing happens, and wait."""
        say(f"no answer yet; asking again in {seconds:.1f} s")
        super().sleep(seconds)


def say(text: str) -> None:
    """Print a line about the call to stderr."""
    click.echo(click.style(text, dim=True), err=True)


def clock_of(output: Output) -> Clock:
    """Return the clock of a call: it says that it waits, unless nothing but errors is wanted."""
    return SystemClock() if output.is_quiet else _AnnouncingClock()


def ask(options: AskOptions, output: Output, shows_reasoning: bool) -> int:
    """Ask the question, print the answer, and return the exit code.

    An error of this package is printed as a message without a traceback.
    """
    clock, display = clock_of(output), Display(output)
    printer: AnswerPrinter | None = None
    try:
        question = question_of(options, clock)
        place = picture_place(options.out, question.model.family, as_json=output.as_json)
        if question.model.note is not None and not output.is_quiet:
            say(question.model.note)
        printer = AnswerPrinter(question, place, shows_reasoning)
        ended = _answer(question, printer, clock, output)
    except BedrockSparkError as exc:
        if printer is not None:
            printer.end_line()
        return display.fail_with(exc.exit_code, str(exc), topic=exc.topic)
    except KeyboardInterrupt:
        if printer is not None:
            printer.end_line()
        return display.fail_quietly(ExitCode.INTERRUPTED, "interrupted")
    if isinstance(ended, Failed):
        printer.end_line()
        error = ended.error
        return display.fail_with(error.exit_code, ended.message, topic=error.topic)
    if not output.is_quiet:
        printer.summarize(ended)
    return ExitCode.DONE


def _answer(
    question: Question, printer: AnswerPrinter, clock: Clock, output: Output
) -> Ended | Failed:
    """Print the answer, and return how it ended."""
    for event in ask_model(question, clock, streams=not output.as_json):
        if isinstance(event, Failed):
            return event
        if isinstance(event, Ended):
            if output.as_json:
                click.echo(event.output.decode())
            else:
                printer.finish(event)
            return event
        if not output.as_json or isinstance(event, PictureMade):
            printer.show(event)
    raise AssertionError("the last event is Ended or Failed")
