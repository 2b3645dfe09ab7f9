"""Slots: how many jobs may be active at a target, as it was told, asked, or learnt from refusals.

What was told may be more than the account has. A refusal teaches the cap: as many as were active
then. Below it, a slot that is refused again is tried less and less often; above it, one job at a
time is tried once in a while, so that refusals stay rare and a raised quota is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DEFAULT_SLOTS = 20
# The n-th probe above a learnt cap waits for so many creates: at most one in a hundred is refused.
_PROBE_CREATES = (0, 10, 100, 150)
# A target that runs nothing is probed at least this often: there it costs nothing but the call.
_IDLE_SECONDS = 600.0
# After the n-th refusal in a row, some steps are passed over: twice as many each time.
_MOST_STEPS = 32

_LEARNT = ("others", "learnt", "refused", "probes", "creates", "refused_at", "steps", "asked_at")


@dataclass
class Slots:
    """The slots of one target.

    most: as was told, or asked
    others: active jobs of other runs under the same quota
    learnt: how many were active when the service refused one more
    refused, probes: refusals in a row; refusals above what was learnt, in a row
    creates, refused_at: jobs created since the last refusal, and when that was
    steps: steps since the last refusal
    asked_at: when Service Quotas was asked, if it was
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

    def remember(self, known: dict[str, Any]) -> None:
        """Take over what another process of this run learnt."""
        for name in _LEARNT:
            setattr(self, name, known.get(name, getattr(self, name)))

    def as_json(self) -> dict[str, Any]:
        """Return what another process of this run may want to know."""
        return {"most": self.most, **{name: getattr(self, name) for name in _LEARNT}}

    @property
    def cap(self) -> int:
        """Return how many jobs may be active in all, as far as is known."""
        return self.most if self.learnt is None else min(self.most, self.learnt)

    def offer(self, active: int, now: float) -> int:
        """Return how many jobs may be created in this step, with so many of ours active."""
        used = active + self.others
        self.steps += 1
        if self.refused > 1 and self.steps < min(_MOST_STEPS, 2 ** (self.refused - 1)):
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

    def taken(self, active: int) -> None:
        """Note that a job was created, with so many of ours active then, itself included."""
        self.refused = 0
        self.creates += 1
        if self.learnt is not None and active + self.others > self.learnt:
            self.learnt = active + self.others
            self.probes = 0
        if self.learnt is not None and self.learnt >= self.most:
            self.learnt = None

    def refuse(self, active: int, now: float) -> None:
        """Note that the service had no free slot, with so many of ours active."""
        used = active + self.others
        if self.learnt is None or used >= self.learnt:
            self.probes += 1
        self.refused += 1
        self.learnt = min(used, self.cap)
        self.creates, self.steps, self.refused_at = 0, 0, now

    def share(self, others: int, active: int) -> None:
        """Note how many jobs others have, as the account's listing shows."""
        were_there = self.refused > 0 and active + self.others == self.learnt
        if self.learnt is not None and were_there and others > self.others:
            self.learnt += others - self.others  # when we were refused
        self.others = others
