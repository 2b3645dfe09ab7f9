"""`bedrock-spark invoke`: ask a model one thing and see the answer come."""

from __future__ import annotations

import sys
from typing import Any

import click

from bedrock_spark.cli.answer import AnswerPrinter
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.questions import DEFAULT_MAX_TOKENS, Asked, Question, question_of
from bedrock_spark.cli.stages import DONE, FAILED, INTERRUPTED
from bedrock_spark.clients import runtime_client
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import (
    AnswerCutOffError,
    BedrockSparkError,
    InvokeError,
    InvokeRefusedError,
    NotStreamedError,
)
from bedrock_spark.families import FAMILIES
from bedrock_spark.invoke import ModelCaller
from bedrock_spark.quotes import without_quotes
from bedrock_spark.rate_limit import RateLimiter
from bedrock_spark.stream import stream_answer

_ATTEMPTS = 5
# Longer than a model thinks before a piece, or before a whole answer.
_READ_TIMEOUT_SECONDS = 300
_OF_A_PROMPT = ("prompt", "system", "max_tokens", "temperature", "family", "converse")


@click.command()
@click.argument("prompt", required=False)
@click.option("--model", metavar="ID", help="A model id, inference profile, or ARN of any kind.")
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"The longest answer; {DEFAULT_MAX_TOKENS:,} if not given.",
)
@click.option("--temperature", type=click.FloatRange(0, 2))
@click.option(
    "--family",
    type=click.Choice([family.name for family in FAMILIES]),
    metavar="NAME",
    help="The model's family, where its id does not tell (docs/families.md).",
)
@click.option("--converse", is_flag=True, help="Ask by Converse, whatever the model.")
@click.option("--run", metavar="URI", help="Ask a record of this prepared run: the first, or …")
@click.option("--record", metavar="ID", help="… the one with this record id, or …")
@click.option("--key", multiple=True, metavar="VALUE", help="… the one of the row with this key.")
@click.option("--config", type=click.Path(), help="Ask what this config would ask of …")
@click.option("--row", metavar="JSON", help="… this row: an object of its columns.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the whole answer as the model gave it."
)
@click.option(
    "--reasoning/--no-reasoning",
    "shows_reasoning",
    default=None,
    help="Show the reasoning on stderr; if not given, where that is a terminal.",
)
@click.option("--region", help="The Region, if not that of the ARN, the run or the environment.")
@click.option("--endpoint-url", help="Where AWS is, when it is not AWS.")
def invoke(as_json: bool, shows_reasoning: bool | None, **given: Any) -> None:
    """Ask a model one thing and print the answer as it comes. PROMPT may be - for stdin.

    Without --run or --config it asks PROMPT of --model. The answer is on stdout; what it took is on
    stderr.
    """
    asked = Asked(**given)
    _check(asked)
    if asked.prompt is not None:
        asked = Asked(**{**given, "prompt": _prompt(asked.prompt)})
    if shows_reasoning is None:
        shows_reasoning = sys.stderr.isatty()
    sys.exit(_perform(asked, as_json, shows_reasoning))


def _check(asked: Asked) -> None:
    """Refuse options that say nothing together."""
    if asked.run is not None and asked.config is not None:
        raise click.UsageError("--run and --config are two things to ask; give one of them")
    if (asked.row is None) != (asked.config is None):
        raise click.UsageError("--config and --row go together")
    if asked.record is not None and asked.key:
        raise click.UsageError("--record and --key are two ways to name one record; give one")
    if asked.run is None and (asked.record is not None or asked.key):
        raise click.UsageError("--record and --key go with --run")
    if asked.run is None and asked.config is None:
        if asked.prompt is None:
            raise click.UsageError("give a PROMPT (- for stdin), or --run, or --config and --row")
        if not asked.model:
            raise click.UsageError("a PROMPT needs a --model to ask")
        return
    stray = [name for name in _OF_A_PROMPT if getattr(asked, name) not in (None, False)]
    if stray:
        name = "PROMPT" if stray[0] == "prompt" else f"--{stray[0].replace('_', '-')}"
        raise click.UsageError(f"{name} does not go with --run or --config: the body is theirs")


def _prompt(given: str) -> str:
    """Return the prompt, read from stdin where it is -; the end of its last line is not part."""
    try:
        text = given
        if given == "-":
            text = sys.stdin.buffer.read().decode().rstrip("\r\n")
        text.encode()
    except UnicodeError:
        raise click.UsageError("the prompt is not UTF-8") from None
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text


class _ToldClock(SystemClock):
    """Says why nothing happens while a call waits to be repeated."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        note = f"no answer yet; asking again in {seconds:.1f} s"
        click.echo(click.style(note, dim=True), err=True)
        super().sleep(seconds)


def _perform(asked: Asked, as_json: bool, shows_reasoning: bool) -> int:
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
    unlimited = RateLimiter(clock, None, None)
    caller = ModelCaller(client, question.model_id, question.family, unlimited, clock, _ATTEMPTS)
    if as_json:
        printer.show_json(caller.ask(question.body))
        return
    if question.family.read_chunk is not None:
        try:
            for part in stream_answer(caller, question.body):
                printer.show(part)
        except NotStreamedError:
            pass
        else:
            return
    printer.show_whole(caller.ask(question.body))


def _said(exc: BedrockSparkError, question: Question | None) -> str:
    """Return what an error says, without what the service quotes of the body in it."""
    if question is None or not isinstance(exc, InvokeError | AnswerCutOffError):
        return str(exc)
    said = without_quotes(str(exc), question.body)
    if isinstance(exc, AnswerCutOffError):
        return said
    advice = ""
    if isinstance(exc, InvokeRefusedError):
        advice = (
            " Check the id, its Region, and bedrock:InvokeModelWithResponseStream on it "
            "(with --json: bedrock:InvokeModel)"
        )
    return f"{question.model_id}: {said}{advice}"
