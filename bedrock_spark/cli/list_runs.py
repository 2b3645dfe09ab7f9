"""`bedrock-spark runs`: all runs below a prefix."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from decimal import Decimal

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.runs import FoundRun, find_runs
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import ExitCode


@dataclass(frozen=True)
class Runs:
    """The runs below a prefix, the newest first."""

    runs: list[FoundRun]


@click.command(name="runs", epilog="Example: bedrock-spark runs s3://my-bucket/runs/")
@with_output_options(json_type=Runs)
@click.option("--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock.")
@click.option("--region", help="The Region of the bucket, if the environment names none.")
@click.argument("prefix")
def list_runs(prefix: str, region: str | None, endpoint_url: str | None, output: Output) -> None:
    """List the runs below a prefix with their state, rows and cost, the newest first.

    PREFIX is a folder that run folders are in, up to three levels down, such as s3://my-bucket/runs/.
    State, rows and cost are those of the last command; `status` asks for the jobs of one run.
    """

    def work(display: Display) -> int:
        found = find_runs(prefix, AwsSettings(region, endpoint_url))
        for line in _table(found):
            display.say(line)
        display.show_json(asdict(Runs(found)))
        number = "1 run" if len(found) == 1 else f"{len(found):,} runs"
        display.close(f"{prefix}: {number}")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _table(found: list[FoundRun]) -> list[str]:
    """Return a line for each run, with a header, in columns of equal width."""
    rows = [("begun", "state", "rows", "ok", "cost", "run"), *map(_row, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join([*(row[i].ljust(widths[i]) for i in range(5)), row[5]]).rstrip()
        for row in (rows if found else ())
    ]


def _row(run: FoundRun) -> tuple[str, ...]:
    if run.problem is not None:
        return "", "unreadable", "", "", "", f"{run.run_uri} ({run.problem})"
    state = run.state if run.stage is None else f"{run.state} ({run.stage})"
    cost = "" if run.cost is None else dollars(Decimal(str(run.cost)))
    begun = (run.begun_at or "").replace("T", " ").removesuffix("Z")
    return begun, state, f"{run.rows:,}", f"{run.ok:,}", cost, run.run_uri
