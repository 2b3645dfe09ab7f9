"""`bedrock-spark plan`: what a run would do and cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bedrock_spark.check import check_config
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.plan_table import closing_sentence, plan_table
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.config import Config
from bedrock_spark.errors import ExitCode
from bedrock_spark.planning import Plan, plan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@click.command(
    name="plan",
    epilog="Example: bedrock-spark plan tickets.yaml --output-tokens 120",
)
@with_output_options(json_type=Plan)
@click.option(
    "--output-tokens",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="The output tokens of an answer on average, if you know them.",
)
@with_config
def plan_command(
    config: str, overrides: tuple[str, ...], output_tokens: float | None, output: Output
) -> None:
    """Show what a run would do and cost. It pays, submits and writes nothing.

    The source is read and cut into shards as in a run, so it takes about as long as prepare. If the
    run is prepared, its shards are counted, and Spark is not needed. Input tokens are counted by
    Amazon Bedrock (CountTokens, which is free) on 100 records, if it can count those of the model.
    """
    display = Display(output)
    output.begin_logging()

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        said = "interrupted: nothing was written"
        return display.end_interrupted(exit_code_of(interrupt), said)

    sys.exit(
        run_to_end(
            lambda: _show(config, overrides, output_tokens, display),
            display,
            *(end_interrupted, mute_spark, end_spark),
        )
    )


def _show(path: str, overrides: tuple[str, ...], mean: float | None, display: Display) -> int:
    def session(config: Config) -> SparkSession:
        from bedrock_spark.spark.session import spark_session

        return spark_session(config, display.note)

    found = plan(session, None, check_config(path, overrides), mean, display.observe)
    display.finish()
    display.show_table(plan_table(found))
    return _end(found, path, display)


def _end(found: Plan, path: str, display: Display) -> int:
    values = found.model_dump(mode="json")
    if found.refusals:
        first = found.refusals[0]
        return display.fail_with(ExitCode(first.exit_code), first.message, values)
    display.show_json(values)
    display.close(f"{path}: {closing_sentence(found)}")
    return ExitCode.DONE
