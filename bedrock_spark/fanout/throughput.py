"""How fast jobs answer records, by the counts of successive sweeps; and when they will be done.

The rate of a job is measured over a sliding window of its last observations. If the clock jumps,
the
earlier observations are dropped: a rate needs seconds that really passed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from bedrock_spark.aws.batch_jobs import SeenJob

_WINDOW_SECONDS = 1200.0
_OBSERVATIONS = 16
# A longer pause between two sweeps counts as a jump of the clock.
_JUMP_SECONDS = 3600.0


@dataclass
class Throughput:
    """The last observations of every active job: times and numbers of processed records."""

    _observed: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)
    _last_sweep: float | None = None

    def begin_sweep(self, now: float) -> None:
        """Begin a sweep over all jobs."""
        if self._last_sweep is not None and not 0 <= now - self._last_sweep <= _JUMP_SECONDS:
            self._observed.clear()
        self._last_sweep = now

    def observe(self, job: SeenJob, now: float) -> None:
        """Note the record counts of a job."""
        if job.is_settled:
            self._observed.pop(job.job_name, None)
            self._totals.pop(job.job_name, None)
            return
        if job.processed is None or not job.total:
            return
        observed = self._observed.setdefault(job.job_name, deque(maxlen=_OBSERVATIONS))
        if not job.processed:
            observed.clear()  # work begins later: only the last observation of zero counts
        observed.append((now, job.processed))
        while now - observed[0][0] > _WINDOW_SECONDS and len(observed) > 2:
            observed.popleft()
        self._totals[job.job_name] = job.total

    def of(self, job_name: str) -> float | None:
        """Return a job's records per second, or None if no progress was observed yet."""
        observed = self._observed.get(job_name)
        if not observed:
            return None
        (begun, first), (now, last) = observed[0], observed[-1]
        return (last - first) / (now - begun) if now > begun and last > first else None

    def done_at(self, job_name: str) -> float | None:
        """Return when a job will have processed its last record, or None if that is unknown."""
        observed = self._observed.get(job_name)
        if not observed:
            return None
        now, last = observed[-1]
        left = self._totals[job_name] - last
        if left <= 0:
            return next(time for time, processed in observed if processed == last)
        rate = self.of(job_name)
        return None if rate is None else now + left / rate
