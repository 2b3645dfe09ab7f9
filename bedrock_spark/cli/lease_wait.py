"""The option that says how long a command waits for a process that may be dead."""

from __future__ import annotations

import math

import click

from bedrock_spark.run_folder.lease_wait import DEFAULT_SECONDS

LEASE_WAIT_METAVAR = "SECONDS"
LEASE_WAIT_HELP = (
    "Wait at most this long for the lease of another process that controls the run, or publishes "
    "its results, and may be dead. If it is at work, the command ends at once with exit code 11. "
    f"0: do not wait. Default: {DEFAULT_SECONDS:.0f}."
)


def seconds(text: str | float) -> float:
    """Return a number of seconds. Raises ValueError if it is none, is below 0, or has no end."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError(f"{text} is not a number of seconds")
    return number


def add_lease_wait(command: click.Command) -> click.Command:
    """Give a command the option --lease-wait; it gets it as `lease_wait`, in seconds."""
    click.option(
        "--lease-wait",
        type=seconds,
        default=DEFAULT_SECONDS,
        metavar=LEASE_WAIT_METAVAR,
        help=LEASE_WAIT_HELP,
    )(command)
    return command
