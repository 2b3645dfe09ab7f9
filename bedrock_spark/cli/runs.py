"""The commands that need only the URI of a run: show its status, and stop it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from bedrock_spark.cli.display import Display
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import BedrockSparkError, ConfigError, ExitCode, JobsNotStoppedError
from bedrock_spark.fallback.rounds import delete_leftover_throughput
from bedrock_spark.fanout import Status, leased_controller, open_controller, status_of, stop_run
from bedrock_spark.run_folder.lease import STOP
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.run_folder.manifest import RunManifest, require_manifest
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.storage import Storage


def _with_run_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
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


@click.command()
@_with_run_arguments
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(run_uri: str, region: str | None, endpoint_url: str | None, as_json: bool) -> None:
    """Show the status of a run. Reads its folder and a listing of its jobs; writes nothing."""

    def work(display: Display) -> None:
        clock = SystemClock()
        run, manifest = prepared_run(run_uri, region, endpoint_url)
        current = status_of(open_controller(run, manifest, clock, reads_only=True), clock)
        if as_json:
            click.echo(json.dumps(current.as_json(), ensure_ascii=False))
            return
        for name, value in _rows(current):
            display.say(f"{name:17} {value}")

    _perform(work)


@click.command()
@_with_run_arguments
def stop(run_uri: str, region: str | None, endpoint_url: str | None) -> None:
    """Stop every active job of a run. Its answers are kept; run or submit continues it."""

    def work(display: Display) -> None:
        run, manifest = prepared_run(run_uri, region, endpoint_url)
        folders = [run.storage]
        try:
            with leased_controller(run, manifest, SystemClock(), purpose=STOP) as controller:
                folders += [target.folder for target in controller.targets if target.folder]
                result = stop_run(controller, display.observe)
        except JobsNotStoppedError:
            _clean_up(run, folders, display)
            raise
        _clean_up(run, folders, display)
        display.say(
            f"stopped; {result.settled:,} of {result.shards:,} shards are settled. All answers are "
            "kept: collect reads them, and run or submit continues the run"
        )

    _perform(work)


def _clean_up(run: Run, folders: Sequence[Storage], display: Display) -> None:
    """Delete what costs money for nothing, also if jobs cannot be stopped.

    What the run bought bills by the hour; what killed processes left in the folders is stored.
    """
    display.finish()
    delete_leftovers(folders, SystemClock())
    deletion = delete_leftover_throughput(run, SystemClock())
    if deletion.deleted is not None:
        display.say("the provisioned throughput that the run bought is deleted")
    if deletion.warning is not None:
        display.say(deletion.warning)


def prepared_run(
    run_uri: str, region: str | None = None, endpoint_url: str | None = None
) -> tuple[Run, RunManifest]:
    """Open the run at a URI, with its manifest.

    Raises RunFolderError if it is not prepared, and ConfigError if it is in another Region.
    """
    run = find_run(run_uri, region, endpoint_url)
    if region not in (None, run.aws.region):
        raise ConfigError(f"--region {region}: {run_uri} is a run in the Region {run.aws.region}")
    return run, require_manifest(run.storage)


def _perform(work: Callable[[Display], None]) -> None:
    display = Display()
    try:
        work(display)
    except BedrockSparkError as exc:
        display.finish()
        display.show_error(str(exc))
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        display.finish()
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.DONE)


def _rows(status: Status) -> list[tuple[str, str]]:
    jobs = ", ".join(f"{count} {name}" for name, count in status.jobs.items()) or "none"
    done = f"{status.processed / status.records:.1%}" if status.records else "all"
    rate = f"{status.records_per_second:,.1f} a second" if status.records_per_second else "unknown"
    rows = [
        ("run", status.run_id),
        ("shards", f"{status.settled:,} of {status.shards:,} settled, {status.waiting:,} waiting"),
        ("jobs", jobs),
        ("slots", f"{status.slots_used:,} used of {status.slots:,}"),
        ("records", f"{status.processed:,} of {status.records:,} processed ({done})"),
        ("rate", rate),
        ("time left", _time_left(status.eta_seconds)),
        ("unanswered so far", f"{status.unanswered:,}"),
        ("tokens", f"{status.tokens['input']:,} in, {status.tokens['output']:,} out"),
        ("controller", status.controller or "none: no process controls the run now"),
    ]
    if status.cost_usd is not None:
        rows.insert(-1, ("cost", f"${status.cost_usd:,.2f} for batch jobs so far"))
    if status.held is not None:
        rows.append(("on hold", status.held))
    rows += [("finding", f"{f['kind']}: {f['detail']}") for f in status.findings]
    return rows


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min at this rate"
