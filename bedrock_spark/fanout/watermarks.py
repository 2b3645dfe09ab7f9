"""Since when jobs need to be looked for, so that a sweep of a long run lists what may have changed.

The times are the service's own: of the jobs that are open the earliest submit time; of one that was
about to be created, the newest submit time that was seen before. Where that is not known,
everything is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bedrock_spark.aws.batch_jobs import SeenJob

# Submit times have seconds; the service's condition leaves out the bound itself.
_MARGIN_SECONDS = 2.0
# A job that so many sweeps did not show may be older than was thought.
_SWEEPS = 10


@dataclass
class Watermarks:
    """The floors of one Region's open jobs."""

    newest: float | None = None
    _of: dict[str, float | None] = field(default_factory=dict)
    _unseen: dict[str, int] = field(default_factory=dict)

    def expect(self, job_name: str, submitted_at: float | None = None) -> None:
        """Look for a job that is about to be created, or was submitted at a time."""
        self._of.setdefault(job_name, self.newest if submitted_at is None else submitted_at)

    def expects(self, job_name: str) -> bool:
        """Tell whether a job is looked for: it may be there."""
        return job_name in self._of

    def forget(self, job_name: str) -> None:
        """Look no more for a job that is surely not there."""
        self._of.pop(job_name, None)

    def show(self, job: SeenJob) -> None:
        """Note a job that a listing shows."""
        self._unseen.pop(job.job_name, None)
        if job.is_settled:
            self._of.pop(job.job_name, None)
        elif job.submitted_at is not None:
            self._of[job.job_name] = job.submitted_at
        if job.submitted_at is not None:
            self.newest = max(job.submitted_at, self.newest or job.submitted_at)

    def end_sweep(self, shown: set[str]) -> list[str]:
        """Note which jobs a sweep showed; return those that are looked for everywhere from now."""
        lost = []
        for name in sorted(self._of.keys() - shown):
            self._unseen[name] = self._unseen.get(name, 0) + 1
            if self._unseen[name] == _SWEEPS:
                self._of[name] = None
                lost.append(name)
        return lost

    def bound(self) -> float | None:
        """Return the time after which to list; None: everything."""
        watermarks = list(self._of.values()) or [self.newest]
        known = [floor for floor in watermarks if floor is not None]
        return min(known) - _MARGIN_SECONDS if len(known) == len(watermarks) else None
