"""One function per stage, for the command line and for spark-submit.

Each returns an exit code: docs/troubleshooting.md has the table.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bedrock_spark.check import check_config
from bedrock_spark.cli.display import Display
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.pipeline import Pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(pipeline: Pipeline, display: Display) -> int:
    """Run every stage that is not done yet."""
    spark = _spark_session()
    report = pipeline.run_all(spark)
    display.finish()
    display.show_report(report)
    return ExitCode.DONE


def prepare(pipeline: Pipeline, display: Display) -> int:
    """Cut the source table into shards."""
    manifest = pipeline.prepare(_spark_session())
    display.finish()
    display.say(
        f"{manifest.rows:,} rows: {manifest.records:,} records in {len(manifest.shards):,} shards, "
        f"{manifest.rejected:,} rejected"
    )
    return ExitCode.DONE


def submit(pipeline: Pipeline, display: Display) -> int:
    """Submit and watch batch jobs until every shard is settled. Needs no Spark."""
    result = pipeline.watch()
    display.finish()
    if result is None:
        display.say("no shard is large enough for a batch job; the fallback asks their records")
    else:
        display.say(f"{result.settled:,} of {result.shards:,} shards are settled")
    return ExitCode.DONE


def advance(pipeline: Pipeline, display: Display) -> int:
    """Check the batch jobs once and submit new ones; exit 10 if more is to do. Needs no Spark."""
    result = pipeline.advance()
    display.finish()
    display.say(
        f"{result.settled:,} of {result.shards:,} shards are settled, {result.active:,} jobs "
        f"are active, {result.waiting:,} shards are waiting"
    )
    return ExitCode.DONE if result.is_done else ExitCode.MORE_TO_DO


def collect(pipeline: Pipeline, display: Display) -> int:
    """Join the answers to the rows, and write the results and the report."""
    spark = _spark_session()
    reconciled = pipeline.collect(spark)
    report = pipeline.report(reconciled, pipeline.publish(spark, reconciled))
    display.finish()
    display.show_report(report)
    return ExitCode.DONE if report.is_complete else ExitCode.FAILED


def fallback(pipeline: Pipeline, display: Display) -> int:
    """Ask the unanswered records online, collect again, and write the results and the report."""
    spark = _spark_session()
    reconciled = pipeline.fall_back(spark, pipeline.collect(spark))
    report = pipeline.finish(spark, reconciled)
    display.finish()
    display.show_report(report)
    return ExitCode.DONE if report.is_complete else ExitCode.FAILED


def _spark_session() -> SparkSession:
    """Import Spark only for the stages that run on it: the others work without it."""
    from bedrock_spark.spark.session import spark_session

    return spark_session()


Stage = Callable[[Pipeline, Display], int]


def perform(
    stage: Stage, config_path: str, overrides: Sequence[str] = (), verbose: bool = False
) -> int:
    """Load the config, open the run, run the stage, and return the exit code.

    A BedrockSparkError is printed as a message without a traceback.
    """
    display = Display()
    if verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
        logging.getLogger("bedrock_spark").setLevel(logging.INFO)
    config = None
    try:
        config = check_config(config_path, overrides)
        return stage(Pipeline.open(config, observe=display.observe), display)
    except BedrockSparkError as exc:
        display.finish()
        display.show_error(str(exc))
        return exc.exit_code
    except KeyboardInterrupt:
        display.finish()
        display.say(
            "interrupted; the batch jobs keep running, and the same command continues the run. To "
            f"stop the jobs: bedrock-spark stop {config.run_uri}"
            if config is not None
            else "interrupted"
        )
        return ExitCode.INTERRUPTED


def perform_from_arguments(stage: Stage, description: str | None) -> int:
    """Call `perform` with the arguments that spark-submit passes to the program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="the YAML config of the run")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one value of the config, for example shards.max_records=500",
    )
    parser.add_argument("--verbose", action="store_true", help="log every change of state")
    arguments = parser.parse_args(sys.argv[1:])
    return perform(stage, arguments.config, arguments.overrides, arguments.verbose)
