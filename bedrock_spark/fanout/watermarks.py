"""Low watermarks: per Region, the earliest submit time a listing must go back to.

https://www.oreilly.com/radar/the-world-beyond-batch-streaming-101/ explains watermarks. Every job
that was submitted before the low watermark is settled, so a sweep of a long run lists only jobs
that may have changed.

The times are the service's own. An open job holds the watermark at its submit time. A job that is
about to be created holds it at the newest submit time that was seen before. If that time is
unknown, everything is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bedrock_spark.aws.batch_jobs import SeenJob

# Submit times have whole seconds, and the service's condition excludes the bound itself.
_MARGIN_SECONDS = 2.0
# A job that this many sweeps did not show may have an older submit time than was assumed.
_MISSED_SWEEPS = 10


@dataclass
class Watermarks:
    """The watermarks of one Region's open jobs.

    newest: the newest submit time that a listing has shown
    """

    newest: float | None = None
    _submitted_at: dict[str, float | None] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)

    def track(self, job_name: str, submitted_at: float | None = None) -> None:
        """Track a job that is about to be created, or that was submitted at `submitted_at`."""
        known = self.newest if submitted_at is None else submitted_at
        self._submitted_at.setdefault(job_name, known)

    def is_tracked(self, job_name: str) -> bool:
        """Tell whether a job is tracked: it may exist."""
        return job_name in self._submitted_at

    def untrack(self, job_name: str) -> None:
        """Stop tracking a job that surely does not exist."""
        self._submitted_at.pop(job_name, None)

    def observe(self, job: SeenJob) -> None:
        """Note a job that a listing shows."""
        self._missed.pop(job.job_name, None)
        if job.is_settled:
            self._submitted_at.pop(job.job_name, None)
        elif job.submitted_at is not None:
            self._submitted_at[job.job_name] = job.submitted_at
        if job.submitted_at is not None:
            self.newest = max(job.submitted_at, self.newest or job.submitted_at)

    def tracked(self) -> set[str]:
        """Return the names of the tracked jobs. What is added to the set is not tracked."""
        return set(self._submitted_at)

    def end_sweep(self, unlisted: set[str]) -> list[str]:
        """Note which of the jobs that were tracked before a sweep it did not list.

        Returns the tracked jobs that were missed for the tenth time in a row: from now on
        everything is listed to find them.
        """
        lost = []
        for name in sorted(unlisted & self._submitted_at.keys()):
            self._missed[name] = self._missed.get(name, 0) + 1
            if self._missed[name] == _MISSED_SWEEPS:
                self._submitted_at[name] = None
                lost.append(name)
        return lost

    def low(self) -> float | None:
        """Return the low watermark: list the jobs submitted after this time. None: list all."""
        times = list(self._submitted_at.values()) or [self.newest]
        known = [time for time in times if time is not None]
        return min(known) - _MARGIN_SECONDS if len(known) == len(times) else None
