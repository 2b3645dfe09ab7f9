"""What a step of the fan-out comes to: values for those who watch it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.progress import Counts, Progress
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard


@dataclass(frozen=True)
class StepResult:
    """The state of the fan-out after a step.

    shards: settled, with an active job, and waiting for one
    records, processed: of the shards that batch jobs take
    reason: why nothing more is submitted, or None
    """

    shards: int
    settled: int
    active: int
    waiting: int
    records: int
    processed: int
    reason: str | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether no shard needs another job."""
        return self.settled == self.shards


def progress_of(result: StepResult, counts: Counts | None = None) -> Progress:
    """Return a step's result as progress, counted in records."""
    done = result.records if result.is_done else min(result.processed, result.records)
    detail = (
        f"{result.settled:,} of {result.shards:,} shards done, {result.active:,} jobs active, "
        f"{result.waiting:,} shards waiting"
    )
    if result.reason is not None:
        detail += f"; nothing more is submitted: {result.reason}"
    waits_for = "the batch jobs" if result.active else "a free job slot"
    return Progress("batch", done, result.records, detail, waits_for=waits_for, counts=counts)


def batch_shards(manifest: RunManifest, config: Config) -> list[Shard]:
    """Return the shards that a batch job can take; the fallback answers the smaller ones."""
    return [s for s in manifest.shards if s.records >= config.shards.min_records]


def jobs_by_status(jobs: Mapping[str, Job] | Iterable[Job]) -> dict[str, int]:
    """Count jobs by status; a job that was announced and never seen counts as `Unknown`."""
    listed = jobs.values() if isinstance(jobs, Mapping) else jobs
    counts = Counter(job.seen.status if job.seen else "Unknown" for job in listed)
    return dict(sorted(counts.items()))
