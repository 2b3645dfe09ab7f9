"""The commands that need nothing but a run's URI: see where it stands, and stop it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from bedrock_spark.cli.display import Display
from bedrock_spark.cli.stages import DONE, FAILED, INTERRUPTED
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import BedrockSparkError, RunFolderError
from bedrock_spark.fallback.rounds import give_back_leftovers
from bedrock_spark.fanout import Status, leased_controller, open_controller, status_of, stop_run
from bedrock_spark.run_folder.lease import STOP
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.run import Run, find_run


def _on_a_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and options by which a run is found."""
    for add in (
        click.option("--endpoint-url", help="Where AWS is, when it is not AWS."),
        click.option("--region", help="The Region of the jobs, if not the one in the run folder."),
        click.argument("run_uri"),
    ):
        command = add(command)
    return command


@click.command()
@_on_a_run
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(run_uri: str, region: str | None, endpoint_url: str | None, as_json: bool) -> None:
    """Say where a run stands: read from its folder and one listing; nothing is written."""

    def work(display: Display) -> None:
        clock = SystemClock()
        run, manifest = prepared_run(run_uri, region, endpoint_url)
        found = status_of(open_controller(run, manifest, clock), clock)
        if as_json:
            click.echo(json.dumps(found.as_json(), ensure_ascii=False))
            return
        for name, value in _rows(found):
            display.say(f"{name:17} {value}")

    _perform(work)


@click.command()
@_on_a_run
def stop(run_uri: str, region: str | None, endpoint_url: str | None) -> None:
    """Stop every active job of a run. What they answered is kept; run or submit goes on."""

    def work(display: Display) -> None:
        run, manifest = prepared_run(run_uri, region, endpoint_url)
        with leased_controller(run, manifest, SystemClock(), purpose=STOP) as controller:
            result = stop_run(controller, display.observe)
        display.finish()
        if give_back_leftovers(run, SystemClock()):
            display.say("the provisioned throughput that the run had bought is deleted")
        display.say(
            f"stopped; {result.settled:,} of {result.shards:,} shards are settled. What was "
            "answered is kept: collect reads it, run or submit goes on"
        )

    _perform(work)


def prepared_run(
    run_uri: str, region: str | None, endpoint_url: str | None
) -> tuple[Run, RunManifest]:
    """Open the run at a URI, with its manifest. Raises RunFolderError where it is not prepared."""
    run = find_run(run_uri, region, endpoint_url)
    manifest = read_manifest(run.storage)
    if manifest is None:
        raise RunFolderError(f"{run_uri}: has no run manifest yet: prepare is not done")
    return run, manifest


def _perform(work: Callable[[Display], None]) -> None:
    display = Display()
    try:
        work(display)
    except BedrockSparkError as exc:
        display.finish()
        display.show_error(str(exc))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        display.finish()
        sys.exit(INTERRUPTED)
    sys.exit(DONE)


def _rows(found: Status) -> list[tuple[str, str]]:
    jobs = ", ".join(f"{count} {name}" for name, count in found.jobs.items()) or "none"
    done = f"{found.processed / found.records:.1%}" if found.records else "all"
    rate = f"{found.records_per_second:,.1f} a second" if found.records_per_second else "not known"
    rows = [
        ("run", found.run_id),
        ("shards", f"{found.settled:,} of {found.shards:,} settled, {found.waiting:,} waiting"),
        ("jobs", jobs),
        ("slots", f"{found.slots_used:,} used of {found.slots:,}"),
        ("records", f"{found.processed:,} of {found.records:,} processed ({done})"),
        ("rate", rate),
        ("left", _hours(found.eta_seconds)),
        ("stragglers so far", f"{found.unanswered:,}"),
        ("tokens", f"{found.tokens['input']:,} in, {found.tokens['output']:,} out"),
        ("driver", found.driver or "nobody drives it now"),
    ]
    if found.cost_usd is not None:
        rows.insert(-1, ("cost", f"${found.cost_usd:,.2f} of batch jobs so far"))
    if found.held is not None:
        rows.append(("held", found.held))
    rows += [("finding", f"{f['kind']}: {f['detail']}") for f in found.findings]
    return rows


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min at this rate"
