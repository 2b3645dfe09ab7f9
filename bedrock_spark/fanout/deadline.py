"""The deadline: records that batch jobs will not answer in time are left to the fallback.

A late job runs on as long as that is useful, because a batch answer costs half. It is stopped when
the records that it will leave, and all that wait, need the rest of the time in the fallback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.run_folder.ledger import Job

# Reserved for stopping jobs, collecting and publishing: a share of the whole time, and at least
# this.
_MARGIN_SHARE, _MARGIN_SECONDS = 0.05, 900.0
# How fast the fallback is assumed to be if the config does not limit it.
_FALLBACK_PER_MINUTE = 600.0


@dataclass
class Deadline:
    """When batch jobs must be over.

    at: a time; per_second: records that the fallback answers per second, or None without fallback
    verdict: the jobs that the last step found late when it was time to give up; None before that
    """

    at: float
    per_second: float | None
    verdict: list[str] | None = None

    def late_jobs(
        self, running: Iterable[Job], waiting_records: int, throughput: Throughput, now: float
    ) -> list[Job] | None:
        """Return the jobs to stop now, or None while it is not yet time to give up anything.

        Two steps in a row must come to the same verdict: a clock that jumped stops nothing.
        """
        late = [job for job in running if self._is_late(job, throughput, now)]
        left = waiting_records + sum(_records_left(job) for job in late)
        needed = left / self.per_second if self.per_second else 0.0
        is_due = bool(left) and now + needed >= self.at
        before = self.verdict
        self.verdict = sorted(job.job_name for job in late) if is_due else None
        if before is None or not is_due:
            return None
        return [job for job in late if job.job_name in before]

    def _is_late(self, job: Job, throughput: Throughput, now: float) -> bool:
        done_at = throughput.done_at(job.job_name) or _done_at_average_rate(job, now)
        return done_at is None or done_at > self.at


def deadline_of(
    config: Config, begun_at: float | None, verdict: list[str] | None = None
) -> Deadline | None:
    """Return the deadline of a run that began at `begun_at`, or None if it has none.

    verdict: of the step before, which another process may have taken
    """
    hours = config.batch.deadline_hours
    if hours is None or begun_at is None:
        return None
    margin = max(_MARGIN_SECONDS, _MARGIN_SHARE * hours * 3600.0)
    return Deadline(begun_at + hours * 3600.0 - margin, _per_second(config), verdict)


def is_over(config: Config, begun_at: float | None, now: float) -> bool:
    """Tell whether batch jobs have no time left."""
    deadline = deadline_of(config, begun_at)
    return deadline is not None and now >= deadline.at


def _per_second(config: Config) -> float | None:
    if config.fallback is None:
        return None  # nothing answers the rest: jobs may run up to the margin
    return (config.fallback.requests_per_minute or _FALLBACK_PER_MINUTE) / 60.0


def _done_at_average_rate(job: Job, now: float) -> float | None:
    """Return when a job is done at its average rate since it was submitted; None if unknown."""
    seen = job.seen
    if seen is None or seen.submitted_at is None or not seen.processed:
        return None
    return now + _records_left(job) * max(0.0, now - seen.submitted_at) / seen.processed


def _records_left(job: Job) -> int:
    if job.seen is None:
        return 0
    return max(0, (job.seen.total or job.records or 0) - (job.seen.processed or 0))
