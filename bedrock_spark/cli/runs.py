"""The commands that need only the URI of a run: show its status, and stop it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.run_argument import with_run_arguments
from bedrock_spark.cli.status_table import status_table
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.fanout import (
    Controller,
    Status,
    StepResult,
    open_controller,
    status_cleaned,
    status_of,
    status_unprepared,
)
from bedrock_spark.planning.drift import drifts_of_run
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest, require_manifest
from bedrock_spark.run_folder.run import Run, find_run
from bedrock_spark.run_folder.stages_file import is_run, stages_below
from bedrock_spark.stopping import CleanUp, stop_and_clean_up


@dataclass(frozen=True, kw_only=True)
class Stopped(StepResult):
    """The batch jobs after `stop`. stopped: false if there was nothing to stop."""

    stopped: bool


@dataclass(frozen=True)
class StageStatus:
    """A stage by its name. status: what `status` prints of its run; null if it has not begun."""

    name: str
    status: Status | None


@dataclass(frozen=True)
class StagesStatus:
    """The stages below a folder, in the order in which they run."""

    run_uri: str
    stages: list[StageStatus]


_RUN_URI = "RUN_URI is the run_uri of the config, such as s3://my-bucket/runs/tickets."


@click.command(
    epilog="Example: bedrock-spark status s3://my-bucket/runs/tickets",
    help=f"""Show the stage of a run, its jobs, and what blocks it.

    {_RUN_URI} Any machine may ask. It reads the run folder and a listing of the jobs, and writes
    nothing.""",
)
@with_output_options(json_type=Status | StagesStatus)
@with_run_arguments
def status(run_uri: str, region: str | None, endpoint_url: str | None, output: Output) -> None:
    """Show the status of a run, or of all stages below a folder."""

    def work(display: Display) -> int:
        clock = SystemClock()
        names = stages_below(run_uri, AwsSettings(region, endpoint_url))
        if names is not None:
            return _show_stages(run_uri, names, clock, display)
        current = _current(_found(run_uri, region, endpoint_url, needs=()), clock)
        rows = status_table(current)
        display.show_table(rows[1:])
        display.show_json(current.as_json())
        display.close("{}: {}".format(*rows[0]))
        return ExitCode.DONE

    def _show_stages(uri: str, names: Sequence[str], clock: Clock, display: Display) -> int:
        found: list[dict[str, Any]] = []
        for name in names:
            own = join_uri(uri.rstrip("/"), name)
            has_begun = is_run(own, AwsSettings(region, endpoint_url))
            run = _found(own, region, endpoint_url, needs=()) if has_begun else None
            current = None if run is None else _current(run, clock)
            found.append({"name": name, "status": None if current is None else current.as_json()})
            rows = [("stage", "not begun")] if current is None else status_table(current)
            display.say(f"stage {name}: {rows[0][1]}")
            display.show_table([(f"  {key}", value) for key, value in rows[1:]])
        display.show_json({"run_uri": uri, "stages": found})
        begun = sum(each["status"] is not None for each in found)
        display.close(f"{begun} of {len(found)} stages have begun")
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def _current(run: Run, clock: Clock) -> Status:
    """Return the status of a run as it is now."""
    manifest = read_manifest(run.storage)
    if read_cleaned(run.storage) is not None:
        return status_cleaned(run, clock)
    if manifest is None:
        return status_unprepared(run, clock)
    controller = open_controller(run, manifest, clock, reads_only=True)
    return _with_drifts(status_of(controller, clock), run, manifest, controller)


def _with_drifts(status: Status, run: Run, manifest: RunManifest, controller: Controller) -> Status:
    """Add a finding for everything that is not as planned."""
    tries = read_tries(run.storage)
    found = drifts_of_run(run, manifest, controller.jobs, tries, status.outcomes)
    return replace(status, findings=[*status.findings, *(d.as_finding() for d in found)])


@click.command(
    epilog="Example: bedrock-spark stop s3://my-bucket/runs/tickets",
    help=f"""Stop every active job of a run. Its answers are kept.

    {_RUN_URI} The commands run and submit continue the run. Provisioned throughput that the run
    bought is deleted. If all jobs are over, stop says so and changes nothing.""",
)
@with_output_options(json_type=Stopped)
@with_run_arguments
def stop(run_uri: str, region: str | None, endpoint_url: str | None, output: Output) -> None:
    """Stop every active job of a run."""

    def work(display: Display) -> int:
        def tell(cleaned: CleanUp) -> None:
            display.finish()
            if cleaned.throughput_deleted:
                display.note("the provisioned throughput that the run bought is deleted")
            if cleaned.warning is not None:
                display.show_warning(cleaned.warning)

        run, manifest = prepared_run(run_uri, region, endpoint_url)
        result, was_active = stop_and_clean_up(run, manifest, SystemClock(), display.observe, tell)
        display.show_json(asdict(Stopped(**asdict(result), stopped=was_active)))
        if was_active:
            display.close(
                f"stopped; {result.settled:,} of {result.shards:,} shards are done. All answers "
                "are kept: collect reads them, and run or submit continues the run"
            )
        else:
            display.close(
                "there is nothing to stop: no batch job is active or waits, and no process "
                "controls the run. Nothing was changed"
            )
        return ExitCode.DONE

    sys.exit(run_command(work, output))


def prepared_run(
    run_uri: str, region: str | None = None, endpoint_url: str | None = None
) -> tuple[Run, RunManifest]:
    """Open the run at a URI, with its manifest.

    Raises RunFolderError if it is not prepared, and ConfigError if it is in another Region.
    """
    run = _found(run_uri, region, endpoint_url)
    return run, require_manifest(run.storage)


def _found(
    run_uri: str,
    region: str | None,
    endpoint_url: str | None,
    needs: Sequence[str] | None = None,
) -> Run:
    run = find_run(run_uri, region, endpoint_url, needs=needs)
    if region not in (None, run.aws.region):
        raise ConfigError(f"--region {region}: {run_uri} is a run in the Region {run.aws.region}")
    return run
