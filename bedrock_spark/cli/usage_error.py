"""Errors before a command has read its options: as JSON, if the words ask for JSON.

Of wrong use, people get what click or argparse prints: how to use the command, and what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NoReturn

import click

from bedrock_spark.cli.output import Output
from bedrock_spark.errors import ExitCode


@contextmanager
def json_usage_errors(words: Sequence[str]) -> Iterator[None]:
    """Call `end_as_json` if the block finds wrong use; its error is raised if that returns."""
    try:
        yield
    except click.UsageError as exc:
        end_as_json(words, exc.format_message(), ExitCode(exc.exit_code))
        raise


def end_as_json(words: Sequence[str], message: str, code: ExitCode = ExitCode.USAGE) -> None:
    """End with the code and JSON if the words have --json or --log json; else return.

    words: all that follow the name of the program
    message: what is wrong with them
    """
    output = output_asked_by(words)
    if output.as_json or output.logs_json:
        end_with(output, code, message)


class WithoutCode2(click.Command):
    """A command whose wrong use ends with 3, as a wrong config does: its code 2 means another."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the command."""
        with _ending_as_config():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _ending_as_config():
            return super().invoke(ctx)


class _WrongUseError(click.UsageError):
    exit_code = ExitCode.CONFIG


@contextmanager
def _ending_as_config() -> Iterator[None]:
    try:
        yield
    except click.UsageError as exc:
        raise _WrongUseError(exc.format_message(), exc.ctx) from exc


def output_asked_by(words: Sequence[str]) -> Output:
    """Return the form of the output that the words ask for."""
    logs_json = "--log=json" in words or ("--log", "json") in pairwise(words)
    return Output(as_json="--json" in words, logs_json=logs_json)


def end_with(output: Output, code: ExitCode, message: str) -> NoReturn:
    """Show an error in the form that is asked for, and end with its code."""
    from bedrock_spark.cli.display import Display

    sys.exit(Display(output).fail_with(code, message))
