"""The argument and the options that locate a run, the same for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def with_run_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and options that locate a run."""
    for add in (
        click.option(
            "--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock."
        ),
        click.option("--region", help="The Region of the jobs, if the run folder has none."),
        click.argument("run_uri"),
    ):
        command = add(command)
    return command
