"""The parts of a running emulator, in one value that all operations share."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import Backend
from bedrock_emulator.answers.script import AnswerScript
from bedrock_emulator.faults import Faults, Quotas
from bedrock_emulator.s3.objects import ObjectStore
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.calls import Calls
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.holds import Holds
from bedrock_emulator.state.jobs import JobRegistry
from bedrock_emulator.state.profiles import ProfileRegistry
from bedrock_emulator.state.store import Store
from bedrock_emulator.state.timeline import Timeline
from bedrock_emulator.state.usage import Usage


class FaultScript:
    """The current fault script, and when it was set. It can be replaced at run time.

    holds: the calls that the script holds back
    """

    def __init__(self, faults: Faults, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._lock = threading.Lock()
        self._faults = faults
        self._since = clock.now()
        self._times_applied: dict[int, int] = {}
        self.holds = Holds(faults.holds)

    @property
    def current(self) -> Faults:
        return self._faults

    @property
    def since(self) -> float:
        """When the script was set, in emulated seconds since the epoch."""
        return self._since

    @property
    def seed(self) -> int:
        return self._faults.seed if self._faults.seed is not None else self._seed

    @property
    def quotas(self) -> Quotas:
        return self._faults.quotas_at(self._clock.now() - self._since)

    def replace(self, faults: Faults) -> None:
        with self._lock:
            self._faults = faults
            self._since = self._clock.now()
            self._times_applied = {}
            self.holds.replace(faults.holds)

    def rule_for_job(self, name: str, number: int, chance: Any) -> dict[str, Any]:
        """Return the first job rule that applies to this job, as JSON types, or {} if none does.

        `chance(index)` returns the random number in [0, 1) of the rule at `index`. A rule that is
        returned counts towards its `count`.
        """
        with self._lock:
            for index, rule in enumerate(self._faults.jobs):
                times_applied = self._times_applied.get(index, 0)
                if not rule.fits(name, number) or chance(index) >= rule.share:
                    continue
                if rule.count is not None and times_applied >= rule.count:
                    continue
                self._times_applied[index] = times_applied + 1
                return rule.model_dump(mode="json")
        return {}


@dataclass(frozen=True)
class EmulatorState:
    """The parts that the operations work on."""

    settings: Settings
    clock: Clock
    timeline: Timeline
    store: Store
    faults: FaultScript
    jobs: JobRegistry
    profiles: ProfileRegistry
    usage: Usage
    calls: Calls
    objects: ObjectStore
    backend: Backend
    answers: AnswerScript
