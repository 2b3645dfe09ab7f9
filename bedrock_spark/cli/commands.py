"""The commands of `bedrock-spark`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from bedrock_spark._version import __version__
from bedrock_spark.cli import runs, stages
from bedrock_spark.cli.check import check
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.invoke.command import invoke


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Ask an Amazon Bedrock model one question per row, by batch inference, on Spark."""


def _stage_command(stage: stages.Stage) -> None:
    """Add a command that runs one stage of the run that a config describes.

    Its name is the name of the function; its help is the first line of the docstring.
    """
    summary = (stage.__doc__ or "").split("\n", 1)[0]

    @main.command(name=stage.__name__, help=summary, short_help=summary)
    @click.argument("config", type=click.Path())
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one value of the config, for example shards.max_records=500.",
    )
    @click.option("--verbose", "-v", is_flag=True, help="Log every change of state.")
    def command(config: str, overrides: tuple[str, ...], verbose: bool) -> None:
        sys.exit(stages.perform(stage, config, overrides, verbose))


for _stage in (
    stages.run,
    stages.prepare,
    stages.submit,
    stages.advance,
    stages.collect,
    stages.fallback,
):
    _stage_command(_stage)
main.add_command(runs.status)
main.add_command(runs.stop)
main.add_command(invoke)
main.add_command(check)


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default=".demo",
    show_default=True,
    help="The folder for the corpus, the results and the report.",
)
def demo(folder: str) -> None:
    """Run the whole pipeline on real text against a local Bedrock. Needs no AWS account."""
    from bedrock_spark.demo.show import show_demo

    sys.exit(show_demo(folder, Display()))


def _add_emulator(add: Callable[[Any], None]) -> None:
    """Add the command of the emulator, or one that says how to install it."""
    try:
        from bedrock_emulator.command import emulator
    except ImportError:

        @click.command(name="emulator")
        def missing() -> None:
            """Serve a local Bedrock and S3 (not installed)."""
            raise click.ClickException('install it with: pip install "bedrock-spark[emulator]"')

        add(missing)
        return
    add(emulator)


_add_emulator(main.add_command)
