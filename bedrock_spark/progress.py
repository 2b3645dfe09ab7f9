"""The progress of a stage: a value that is passed to an observer, and the pace of such values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

# The rate is measured over this time: long enough for batch jobs, which are looked at every few
# minutes, and short enough to notice that a stage has become slower.
WINDOW_SECONDS = 900.0
# Values in the window are kept at least this far apart, so that a fast observer fills no memory.
_SPACING_SECONDS = 1.0


@dataclass(frozen=True)
class Counts:
    """The numbers of a run's batch jobs beside the records: for bars, logs and metrics.

    shards: settled, with an active job, and waiting for one
    slots_used: by the run and by others under the same quota; slots: that there are
    input_tokens, output_tokens: of the jobs, as far as they were counted
    ended, errors: the records of jobs that are over, and those of them without an answer
    cost_usd: what the run has cost so far, by its prices; budget_usd: what it may cost; None if
        that is not known
    """

    shards: int = 0
    settled: int = 0
    active: int = 0
    waiting: int = 0
    slots_used: int = 0
    slots: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    ended: int = 0
    errors: int = 0
    cost_usd: float | None = None
    budget_usd: float | None = None


@dataclass(frozen=True)
class CallCounts:
    """The numbers of the fallback beside the records: for bars, logs and metrics.

    input_tokens, output_tokens: of this round, as far as answers tell them
    tokens_per_minute, calls_per_minute: of the last minute, all tasks together, as the quotas count
        them; token_limit, call_limit: the most that the config allows, None if it does not say
    cost_usd: what the run has cost so far, by its prices; budget_usd: what it may cost; None if
        that is not known
    """

    input_tokens: int = 0
    output_tokens: int = 0
    tokens_per_minute: int = 0
    token_limit: int | None = None
    calls_per_minute: int = 0
    call_limit: int | None = None
    cost_usd: float | None = None
    budget_usd: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    stage: such as prepare, canary, lease, batch, output, collect, fallback, publish, stop or clean
    done, total: counted in `unit`; total is None as long as it is unknown
    detail: what else is known, such as the number of active jobs
    waits_for: what the stage waits for, such as "the batch jobs"; "" if that is not known
    counts: of the batch jobs, in their stage
    calls: of the fallback, in its stage
    """

    stage: str
    done: int
    total: int | None
    detail: str = ""
    unit: str = "records"
    waits_for: str = ""
    counts: Counts | None = None
    calls: CallCounts | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether the stage has done all that it has to do."""
        return self.total is not None and self.done >= self.total


Observer = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Ignore the progress."""


@dataclass
class Pace:
    """The rate of a stage over a sliding window, and the time that is left at this rate.

    changed_at: when the count changed for the last time, in seconds since the epoch
    """

    changed_at: float = 0.0
    _window: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, done: int, now: float) -> None:
        """Note a count. A count that is lower than the last one begins again."""
        window = self._window
        if not window or done < window[-1][1]:
            window.clear()
            window.append((now, done))
            self.changed_at = now
            return
        if done != window[-1][1]:
            self.changed_at = now
        # The newest value replaces the one before it if that is too close to its predecessor.
        if len(window) > 1 and window[-1][0] - window[-2][0] < _SPACING_SECONDS:
            window.pop()
        window.append((now, done))
        # The first value may be older than the window, if no other is: a poll can take longer.
        while len(window) > 2 and window[1][0] <= now - WINDOW_SECONDS:
            window.popleft()

    @property
    def per_second(self) -> float | None:
        """Return the rate; None as long as the count has not risen."""
        if len(self._window) < 2:
            return None
        (begun, first), (now, last) = self._window[0], self._window[-1]
        return (last - first) / (now - begun) if last > first and now > begun else None

    def seconds_left(self, total: int | None) -> float | None:
        """Return the time until `total` at this rate; None if there is no rate or no total."""
        rate = self.per_second
        if rate is None or total is None:
            return None
        return max(0, total - self._window[-1][1]) / rate
