"""The deadline: what batch jobs will not answer in time is left to the fallback in time.

A job that will not make it runs on as long as that is of use, because a batch answer costs half;
it is stopped when what it leaves, with all that waits, takes the fallback the time that is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.run_folder.ledger import Job

# Kept free for stopping jobs, collecting and publishing: a share of the whole, and at least this.
_MARGIN_SHARE, _MARGIN_SECONDS = 0.05, 900.0
# What the fallback is taken to answer where the config does not bound it.
_FALLBACK_PER_MINUTE = 600.0


@dataclass
class Deadline:
    """When batch jobs must be over.

    at: a time; per_second: records that the fallback answers
    verdict: the jobs that the last step found late when it was time to give up; None before that
    """

    at: float
    per_second: float | None
    verdict: list[str] | None = None

    def late(
        self, running: Iterable[Job], waiting_records: int, rates: Throughput, now: float
    ) -> list[Job] | None:
        """Return the jobs to stop now, or None while it is not yet time to give up anything.

        A verdict holds when the next step comes to it too: a clock that jumped stops nothing.
        """
        late = [job for job in running if self._is_late(job, rates, now)]
        left = waiting_records + sum(_left(job) for job in late)
        needed = left / self.per_second if self.per_second else 0.0
        is_due = bool(left) and now + needed >= self.at
        before = self.verdict
        self.verdict = sorted(job.job_name for job in late) if is_due else None
        if before is None or not is_due:
            return None
        return [job for job in late if job.job_name in before]

    def _is_late(self, job: Job, rates: Throughput, now: float) -> bool:
        done_at = rates.done_at(job.job_name) or _on_average(job, now)
        return done_at is None or done_at > self.at


def deadline_of(
    config: Config, begun_at: float | None, verdict: list[str] | None = None
) -> Deadline | None:
    """Return the deadline of a run that was begun at a time, or None where it has none.

    verdict: of the step before, which may have been another process's
    """
    hours = config.batch.deadline_hours
    if hours is None or begun_at is None:
        return None
    margin = max(_MARGIN_SECONDS, _MARGIN_SHARE * hours * 3600.0)
    return Deadline(begun_at + hours * 3600.0 - margin, _per_second(config), verdict)


def _per_second(config: Config) -> float | None:
    if config.fallback is None:
        return None  # nobody answers what is left: jobs may run up to the margin
    return (config.fallback.requests_per_minute or _FALLBACK_PER_MINUTE) / 60.0


def _on_average(job: Job, now: float) -> float | None:
    """Return when a job is done if it goes on as it did since it was submitted."""
    seen = job.seen
    if seen is None or seen.submitted_at is None or not seen.processed:
        return None
    return now + _left(job) * max(0.0, now - seen.submitted_at) / seen.processed


def _left(job: Job) -> int:
    if job.seen is None:
        return 0
    return max(0, (job.seen.total or job.records or 0) - (job.seen.processed or 0))
