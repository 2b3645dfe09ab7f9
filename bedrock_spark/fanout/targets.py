"""Where jobs may run: a model in a Region, its role, its slots, and where it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from bedrock_spark.batch_jobs import BatchJobs
from bedrock_spark.fanout.slots import DEFAULT_SLOTS, Slots
from bedrock_spark.run_folder import Run
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class Target:
    """One place for jobs. Without `targets` in the config there is one, and its name is empty.

    region: tells listings apart; the targets of a Region share one
    folder: where its jobs read and write, if that is not the run folder
    """

    name: str
    model_id: str
    role_arn: str
    region: str
    jobs: BatchJobs
    slots: Slots
    folder: Storage | None = None


def home_target(run: Run, jobs: BatchJobs, most: int | None = None) -> Target:
    """Return the one target that model.id and batch name."""
    config = run.config
    slots = Slots(config.batch.max_active_jobs or most or DEFAULT_SLOTS)
    region = config.batch.region or ""
    return Target("", config.model.id, config.batch.role_arn, region, jobs, slots)
