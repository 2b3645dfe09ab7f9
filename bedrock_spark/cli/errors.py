"""`bedrock-spark errors`: why rows of a run are not ok."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from bedrock_spark.browse.errors import Errors, Group, errors_of
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.errors import ExitCode
from bedrock_spark.run_folder.cleaned import REPORT
from bedrock_spark.run_folder.run import find_run

_GROUPS = 20


@click.command(epilog="Example: bedrock-spark errors s3://my-bucket/runs/tickets")
@with_output_options(json_type=Errors)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=_GROUPS,
    show_default=True,
    help="The most groups to show, the largest first.",
)
@with_run_arguments
def errors(
    run_uri: str, region: str | None, endpoint_url: str | None, most: int, output: Output
) -> None:
    """Show why rows of a run are not ok, grouped, and whether asking again helps. Needs no Spark.

    RUN_URI is the run_uri of the config. The rows are those of the last collect. Messages show no
    value of a row; `bedrock-spark results RUN_URI --outcome error` shows the rows.
    """

    def work(display: Display) -> int:
        found = errors_of(find_run(run_uri, region, endpoint_url, needs=(REPORT,)), most)
        display.show_table(list(_lines(found)))
        display.show_json(asdict(found))
        display.close(f"{run_uri}: {_closing(found)}")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _lines(found: Errors) -> Iterator[tuple[str, str]]:
    for group in found.groups:
        code = f" {group.code}" if group.code is not None else ""
        yield f"{group.rows:,}", f"{group.outcome}{code}: {group.message}"
        if group.examples:
            yield "", f"such as record {', '.join(group.examples)}"
        yield "", f"asking again {_verdict(group)}: {group.advice}"
    if found.others:
        yield f"{found.others:,}", "with other reasons"


def _verdict(group: Group) -> str:
    return "may help" if group.helps else "does not help"


def _closing(found: Errors) -> str:
    if not found.rows:
        return "nothing is collected yet; run bedrock-spark collect"
    total = sum(found.not_ok.values())
    parts = ", ".join(f"{rows:,} {outcome}" for outcome, rows in sorted(found.not_ok.items()))
    of_all = f"of {found.rows:,} collected rows"
    return f"{total:,} {of_all} are not ok: {parts}" if total else f"all {of_all} are ok"
