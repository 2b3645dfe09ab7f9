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
# The longest backoff after refusals in a row, in steps; it doubles from one refusal to the next. It
# also ends after the time that its steps take at most: a process of one step does not count them.
_LONGEST_BACKOFF_STEPS, _STEP_SECONDS = 32, 300.0
# Waiting ends after this number of refusals in a row while no job is active. With the backoff
# above they take half an hour or more, and the jobs of others are counted again meanwhile.
IDLE_REFUSALS = 5

_LEARNT = (
    *("others", "strangers", "learnt", "refused", "probes", "creates", "refused_at", "steps"),
    *("asked_at", "idle_refusals", "refusal"),
)


@dataclass
class Slots:
    """The slots of one target.

    most: the number by config or Service Quotas
    others: active jobs of other runs under the same quota
    strangers: active jobs of other models in the Region; the service may count them, too
    learnt: how many jobs were active when the service refused one more
    refused: refusals in a row
    probes: refusals in a row of jobs above the learnt cap
    creates: jobs created since the last refusal
    refused_at: when the last refusal was
    steps: steps since the last refusal
    asked_at: when Service Quotas was asked; None if it was not
    idle_refusals: refusals in a row while no job was active, neither of the run nor of others
    refusal: the service's message of the last of these
    """

    most: int
    others: int = 0
    strangers: int = 0
    learnt: int | None = None
    refused: int = 0
    probes: int = 0
    creates: int = 0
    refused_at: float = 0.0
    steps: int = 0
    asked_at: float | None = None
    idle_refusals: int = 0
    refusal: str | None = None

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
        if self.refused > 1 and self._is_backing_off(now):
            return 0
        room = self.cap - used
        if room <= 0 and self.cap < self.most and self._is_probe_due(active, now):
            return max(0, self.cap + 1 - used)
        return max(0, room)

    def _is_backing_off(self, now: float) -> bool:
        backoff = min(_LONGEST_BACKOFF_STEPS, 1 << (self.refused - 1))
        return self.steps < backoff and now - self.refused_at < backoff * _STEP_SECONDS

    def _is_probe_due(self, active: int, now: float) -> bool:
        level = min(self.probes, len(_PROBE_CREATES)) - 1
        if level < 0:
            return True
        is_idle = active == 0 and now - self.refused_at >= _IDLE_SECONDS
        return self.creates >= _PROBE_CREATES[level] or is_idle

    def note_created(self, active: int) -> None:
        """Note that a job was created; `active` of the run's jobs are active, itself included."""
        self.refused = 0
        self.forget_idle_refusals()
        self.creates += 1
        if self.learnt is not None and active + self.others > self.learnt:
            self.learnt = active + self.others
            self.probes = 0
        if self.learnt is not None and self.learnt >= self.most:
            self.learnt = None

    @property
    def is_closed(self) -> bool:
        """Tell whether there is no slot at all: no job is active, and none is allowed."""
        return self.idle_refusals >= IDLE_REFUSALS

    def end_backoff(self) -> None:
        """Let the next step try a job at once: the user says that the cause is removed."""
        self.refused, self.probes = 0, 0
        self.forget_idle_refusals()

    def forget_idle_refusals(self) -> None:
        """Count the refusals without an active job from zero again."""
        self.idle_refusals, self.refusal = 0, None

    def note_refused(self, active: int, now: float, message: str | None = None) -> None:
        """Note that the service had no free slot while `active` of the run's jobs were active.

        message: the service's
        """
        used = active + self.others
        if used + self.strangers:
            self.forget_idle_refusals()
        else:
            self.idle_refusals, self.refusal = self.idle_refusals + 1, message
        if self.learnt is None or used >= self.learnt:
            self.probes += 1
        self.refused += 1
        self.learnt = min(used, self.cap)
        self.creates, self.steps, self.refused_at = 0, 0, now

    def set_others(self, others: int, active: int, strangers: int = 0) -> None:
        """Note how many active jobs others have, as the account's listing shows.

        strangers: jobs of other models
        """
        self.strangers = strangers
        if others or strangers:
            self.forget_idle_refusals()
        were_there = self.refused > 0 and active + self.others == self.learnt
        if self.learnt is not None and were_there and others > self.others:
            # They were active when the run was refused: they are no cap of the run.
            self.learnt += others - self.others
        self.others = others
