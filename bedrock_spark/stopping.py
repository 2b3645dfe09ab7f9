"""Stop a run: its batch jobs, and what it bought that bills by the hour.

Its answers are kept, and any process may go on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobsNotStoppedError
from bedrock_spark.fallback.rounds import delete_leftover_throughput
from bedrock_spark.fanout import StepResult, leased_controller, open_controller, stop_run
from bedrock_spark.progress import Observer
from bedrock_spark.report import Reporter
from bedrock_spark.run_folder.lease import STOP, read_holder
from bedrock_spark.run_folder.leftovers import delete_leftovers
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class CleanUp:
    """What was deleted that costs money for nothing.

    throughput_deleted: provisioned throughput that the run bought is deleted
    warning: what of it may bill on, None if nothing does
    """

    throughput_deleted: bool
    warning: str | None


def stop_and_clean_up(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    observe: Observer,
    tell: Callable[[CleanUp], None],
) -> tuple[StepResult, bool]:
    """Stop every active job of a run, wait until they are over, and delete what bills for nothing.

    tell: gets what was deleted, also if jobs cannot be stopped
    The report says how the run was left.
    Returns the batch jobs, and whether there was something to stop: if all jobs are over and no
    process is at work, nothing is changed. Raises RunHeldError if another process stops the run,
    and JobsNotStoppedError if the service does not let the caller stop jobs.
    """
    folders = [run.storage]
    before = _over(run, manifest, clock)
    if before is not None:
        tell(_clean_up(run, folders, clock))
        return before, False
    reporter = Reporter(clock, stage="batch", manifest=manifest)
    try:
        with (
            reporter.command(lambda: run, reports_success=True),
            leased_controller(run, manifest, clock, purpose=STOP) as controller,
        ):
            folders += [target.folder for target in controller.targets if target.folder]
            result = stop_run(controller, observe)
    except JobsNotStoppedError:
        tell(_clean_up(run, folders, clock))
        raise
    tell(_clean_up(run, folders, clock))
    return result, True


def _over(run: Run, manifest: RunManifest, clock: Clock) -> StepResult | None:
    """Return how the batch jobs ended, if all are over and no process is at work; else None."""
    holder = read_holder(run.storage)
    if holder is not None and not holder.is_over(clock.now()):
        return None  # such as the fallback, which has to be stopped
    controller = open_controller(run, manifest, clock, reads_only=True)
    controller.look()
    result = controller.result()
    return result if result.is_done and not result.active else None


def _clean_up(run: Run, folders: Sequence[Storage], clock: Clock) -> CleanUp:
    """Delete what costs money for nothing, also if jobs cannot be stopped.

    What the run bought bills by the hour; what killed processes left in the folders is stored.
    """
    delete_leftovers(folders, clock)
    deletion = delete_leftover_throughput(run, clock)
    return CleanUp(deletion.deleted is not None, deletion.warning)
