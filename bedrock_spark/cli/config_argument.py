"""The argument and the option that name a config, the same for every command that has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

SET_METAVAR = "KEY=VALUE"
SET_HELP = (
    "Override one value of the config, for example shards.max_records=500. A JSON object of keys "
    "and values overrides several."
)
PLAN_METAVAR = "FILE"
PLAN_HELP = (
    "Do what a plan says that bedrock-spark plan --out wrote, here or in S3, or stop before "
    "anything is submitted, and show the difference."
)


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command CONFIG and --set; it gets them as `config` and `overrides`."""
    set_option = click.option(
        "--set", "overrides", multiple=True, metavar=SET_METAVAR, help=SET_HELP
    )
    return click.argument("config", type=click.Path())(set_option(command))
