"""How fast jobs answer, by the record counts of successive looks; and so, when they will be done.

A window slides over what was seen of each job. Where the clock jumps, what was seen before is
forgotten: a rate is of seconds that passed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from bedrock_spark.aws.batch_jobs import SeenJob

_WINDOW_SECONDS = 1200.0
_LOOKS = 16
_JUMP_SECONDS = 3600.0


@dataclass
class Throughput:
    """What was seen of every active job lately: times and processed records."""

    _looks: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)
    _last: float | None = None

    def begin_look(self, now: float) -> None:
        """Begin a look at all jobs."""
        if self._last is not None and not 0 <= now - self._last <= _JUMP_SECONDS:
            self._looks.clear()
        self._last = now

    def observe(self, job: SeenJob, now: float) -> None:
        """Note a job's counts."""
        if job.is_settled:
            self._looks.pop(job.job_name, None)
            self._totals.pop(job.job_name, None)
            return
        if job.processed is None or not job.total:
            return
        looks = self._looks.setdefault(job.job_name, deque(maxlen=_LOOKS))
        if not job.processed:
            looks.clear()  # it begins after this look: the last of zero records counts
        looks.append((now, job.processed))
        while now - looks[0][0] > _WINDOW_SECONDS and len(looks) > 2:
            looks.popleft()
        self._totals[job.job_name] = job.total

    def of(self, job_name: str) -> float | None:
        """Return a job's records per second, or None where it was not seen to move yet."""
        looks = self._looks.get(job_name)
        if not looks:
            return None
        (begun, first), (now, last) = looks[0], looks[-1]
        return (last - first) / (now - begun) if now > begun and last > first else None

    def done_at(self, job_name: str) -> float | None:
        """Return when a job will have come to its last record, or None where that is not known."""
        looks = self._looks.get(job_name)
        if not looks:
            return None
        now, last = looks[-1]
        left = self._totals[job_name] - last
        if left <= 0:
            return next(t for t, processed in looks if processed == last)
        rate = self.of(job_name)
        return None if rate is None else now + left / rate
