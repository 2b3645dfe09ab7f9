"""`bedrock-spark doctor`: what would fail late, and the correction to paste."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.job_arguments import read_arguments
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.config import Config
from bedrock_spark.doctor import Diagnosis, Level, diagnose
from bedrock_spark.errors import ExitCode

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_WIDTH = max(map(len, Level))


@click.command(epilog="Example: bedrock-spark doctor tickets.yaml")
@with_output_options(json_type=Diagnosis)
@click.option(
    "--no-spark",
    is_flag=True,
    help="Leave out what only Spark can tell: source, key, place of the results, machines.",
)
@with_config
def doctor(config: str, overrides: tuple[str, ...], no_spark: bool, output: Output) -> None:
    """Show what would fail late: credentials, models, roles, bucket, quotas, source, machines.

    Each line is ok, a warning or an error, with the correction to paste below it. What may not be
    looked at is a line of its own. No model is invoked, and nothing is paid or submitted. Exits
    with 1 if there is an error.
    """
    sys.exit(_perform(config, overrides, output, with_spark=not no_spark))


def run_program(description: str | None) -> None:
    """Do the same as a program of spark-submit, and exit with its code if that is not 0."""
    arguments = read_arguments(sys.argv[1:], description)
    code = _perform(arguments.config, arguments.overrides, arguments.output, with_spark=True)
    if code:
        sys.exit(code)


def _perform(config: str, overrides: Sequence[str], output: Output, *, with_spark: bool) -> int:
    display = Display(output)
    output.begin_logging()

    def session(checked: Config) -> SparkSession:
        from bedrock_spark.spark.session import spark_session

        return spark_session(checked, display.note)

    def work() -> int:
        return _show(diagnose(config, overrides, session if with_spark else None), display)

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        return display.end_interrupted(exit_code_of(interrupt), "interrupted")

    return run_to_end(work, display, end_interrupted, mute_spark, end_spark)


def _show(found: Diagnosis, display: Display) -> int:
    display.finish()
    for line in lines_of(found):
        display.say(line)
    values = asdict(found)
    counts = closing_sentence(found)
    if found.errors:
        return display.fail_with(ExitCode.FAILED, counts, values)
    display.show_json(values)
    display.close(counts)
    return ExitCode.DONE


def lines_of(found: Diagnosis) -> list[str]:
    """Return the lines of a terminal: a correction has a line of its own, to copy it whole."""
    lines = []
    for group in found.groups:
        lines.append(group.subject)
        for finding in group.findings:
            lines.append(f"  {finding.level:{_WIDTH}}  {finding.what}")
            if finding.fix is not None:
                lines.append(f"  {'':{_WIDTH}}  {finding.fix}")
    return lines


def closing_sentence(found: Diagnosis) -> str:
    """Return how many findings are not ok."""
    counts = (
        (found.errors, "error", "errors"),
        (found.warnings, "warning", "warnings"),
        (found.not_checked, "not checked", "not checked"),
    )
    named = [f"{n} {one if n == 1 else several}" for n, one, several in counts if n]
    return f"{found.config}: {', '.join(named) or 'nothing found that would fail'}"
