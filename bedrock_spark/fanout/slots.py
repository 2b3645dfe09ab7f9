"""Slots: how many jobs may be active at a target, by config, by Service Quotas, or by refusals.

The configured number may be more than the account has. A refusal teaches a cap: the number of jobs
that were active then. This is an adaptive concurrency limit with probing
(https://netflixtechblog.medium.com/performance-under-load-3e6fa9a60581): below the cap, a slot that
is refused again is tried after an exponential backoff; above it, one job at a time is tried now and
then. So refusals stay rare, and a raised quota is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEFAULT_SLOTS = 20
# Creates before the n-th probe above a learnt cap: at most one call in a hundred is refused.
_PROBE_CREATES = (0, 10, 100, 150)
# A target without an active job is probed at least this often: the probe costs only a call.
_IDLE_SECONDS = 600.0
# The longest backoff after refusals in a row, in steps; it doubles from one refusal to the next.
_LONGEST_BACKOFF_STEPS = 32

_LEARNT = ("others", "learnt", "refused", "probes", "creates", "refused_at", "steps", "asked_at")


@dataclass
class Slots:
    """The slots of one target.

    most: the number by config or Service Quotas
    others: active jobs of other runs under the same quota
    learnt: how many jobs were active when the service refused one more
    refused: refusals in a row
    probes: refusals in a row of jobs above the learnt cap
    creates: jobs created since the last refusal
    refused_at: when the last refusal was
    steps: steps since the last refusal
    asked_at: when Service Quotas was asked; None if it was not
    """

    most: int
    others: int = 0
    learnt: int | None = None
    refused: int = 0
    probes: int = 0
    creates: int = 0
    refused_at: float = 0.0
    steps: int = 0
    asked_at: float | None = None

    def restore(self, values: dict[str, Any]) -> None:
        """Restore what another process of this run learnt: the values of `as_json`."""
        for name in _LEARNT:
            setattr(self, name, values.get(name, getattr(self, name)))

    def as_json(self) -> dict[str, Any]:
        """Return what another process of this run needs to carry on."""
        return {"most": self.most, **{name: getattr(self, name) for name in _LEARNT}}

    @property
    def cap(self) -> int:
        """Return how many jobs may be active in total, as far as is known."""
        return self.most if self.learnt is None else min(self.most, self.learnt)

    def offer(self, active: int, now: float) -> int:
        """Return how many jobs may be created in this step if `active` jobs are active."""
        used = active + self.others
        self.steps += 1
        if self.refused > 1 and self.steps < min(_LONGEST_BACKOFF_STEPS, 2 ** (self.refused - 1)):
            return 0
        room = self.cap - used
        if room <= 0 and self.cap < self.most and self._is_probe_due(active, now):
            return max(0, self.cap + 1 - used)
        return max(0, room)

    def _is_probe_due(self, active: int, now: float) -> bool:
        level = min(self.probes, len(_PROBE_CREATES)) - 1
        if level < 0:
            return True
        is_idle = active == 0 and now - self.refused_at >= _IDLE_SECONDS
        return self.creates >= _PROBE_CREATES[level] or is_idle

    def note_created(self, active: int) -> None:
        """Note that a job was created; `active` of the run's jobs are active, itself included."""
        self.refused = 0
        self.creates += 1
        if self.learnt is not None and active + self.others > self.learnt:
            self.learnt = active + self.others
            self.probes = 0
        if self.learnt is not None and self.learnt >= self.most:
            self.learnt = None

    def note_refused(self, active: int, now: float) -> None:
        """Note that the service had no free slot while `active` of the run's jobs were active."""
        used = active + self.others
        if self.learnt is None or used >= self.learnt:
            self.probes += 1
        self.refused += 1
        self.learnt = min(used, self.cap)
        self.creates, self.steps, self.refused_at = 0, 0, now

    def set_others(self, others: int, active: int) -> None:
        """Note how many active jobs others have, as the account's listing shows."""
        were_there = self.refused > 0 and active + self.others == self.learnt
        if self.learnt is not None and were_there and others > self.others:
            # They were active when the run was refused: they are no cap of the run.
            self.learnt += others - self.others
        self.others = others
