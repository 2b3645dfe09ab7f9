"""Take announced jobs back from a target that allows none, so that another target gets them."""

from __future__ import annotations

from collections.abc import Sequence

from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target, target_of
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.ledger.events import Event, Withdrawn


def withdraw(
    tracker: ShardTracker,
    sweep: Sweep,
    targets: Sequence[Target],
    all_targets: Sequence[Target],
    now: float,
) -> list[Event]:
    """Take back the jobs of a target that allows none, if another target works.

    targets: those of the config; all_targets: also those that only earlier jobs have
    None of the jobs exists: the service would have known its request token, and not refused it.
    """
    if all(target.slots.is_closed for target in targets):
        return []
    announced = tracker.announced_jobs()
    jobs = [j for j in announced if target_of(all_targets, j).slots.is_closed]
    for job in jobs:
        sweep.watermarks_of(job).untrack(job.job_name)
        tracker.withdraw(job.job_name)
    return [Withdrawn(job.job_name, now) for job in jobs]
