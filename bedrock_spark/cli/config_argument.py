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


STAGE_METAVAR = "NAME"
STAGE_HELP = "The stage that is meant, of a config with stages: docs/chains.md."
_STAGE = f"{__name__}.stage"


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command CONFIG, --set and --stage; it gets them as `config` and `overrides`.

    A stage is a part of the name of the config: `contracts.yaml#extract`.
    """
    options = [
        click.option("--set", "overrides", multiple=True, metavar=SET_METAVAR, help=SET_HELP),
        # Eager, so that it is known when the argument is.
        click.option(
            "--stage",
            metavar=STAGE_METAVAR,
            help=STAGE_HELP,
            is_eager=True,
            expose_value=False,
            callback=_note_stage,
        ),
        click.argument("config", type=click.Path(), callback=_with_stage),
    ]
    for add in options:
        command = add(command)
    return command


def _note_stage(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.meta[_STAGE] = value


def _with_stage(context: click.Context, _: click.Parameter, value: str) -> str:
    return name_stage(value, context.meta.get(_STAGE))


def name_stage(config: str, stage: str | None) -> str:
    """Return a config and one of its stages as one name; None for the config itself."""
    return config if stage is None else f"{config}#{stage}"
