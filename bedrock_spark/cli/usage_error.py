"""Wrong use of the command line, for programs: as JSON, if the words ask for JSON.

People get what click or argparse prints: how to use the command, and what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import click


@contextmanager
def json_usage_errors(words: Sequence[str]) -> Iterator[None]:
    """Call `end_as_json` if the block finds wrong use; its error is raised if that returns."""
    try:
        yield
    except click.UsageError as exc:
        end_as_json(words, exc.format_message())
        raise


def end_as_json(words: Sequence[str], message: str) -> None:
    """End with code 2 and JSON if the words have --json or --log json; else return.

    words: all that follow the name of the program
    message: what is wrong with them
    """
    as_json = "--json" in words
    logs_json = "--log=json" in words or ("--log", "json") in pairwise(words)
    if not as_json and not logs_json:
        return
    from bedrock_spark.cli.display import Display
    from bedrock_spark.cli.output import Output
    from bedrock_spark.errors import ExitCode

    display = Display(Output(as_json=as_json, logs_json=logs_json))
    sys.exit(display.fail_with(ExitCode.USAGE, message))
