"""Everything an emulator consists of while it runs, put together in one place."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import Backend
from bedrock_emulator.faults import Faults, Quotas
from bedrock_emulator.s3.objects import ObjectStore
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.jobs import JobBook
from bedrock_emulator.state.profiles import ProfileBook
from bedrock_emulator.state.store import Store
from bedrock_emulator.state.timeline import Timeline
from bedrock_emulator.state.usage import Usage


class FaultScript:
    """The script in force, replaceable at run time, and when it came into force."""

    def __init__(self, faults: Faults, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._lock = threading.Lock()
        self._faults = faults
        self._since = clock.now()
        self._applied: dict[int, int] = {}

    @property
    def current(self) -> Faults:
        return self._faults

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
            self._applied = {}

    def rule_for_job(self, name: str, number: int, chance: Any) -> dict[str, Any]:
        """Return the first job rule that takes this job as JSON types, or {} if none does.

        `chance` maps the index of a rule to a number in [0, 1).
        """
        with self._lock:
            for index, rule in enumerate(self._faults.jobs):
                used = self._applied.get(index, 0)
                if not rule.fits(name, number) or chance(index) >= rule.share:
                    continue
                if rule.count is not None and used >= rule.count:
                    continue
                self._applied[index] = used + 1
                return rule.model_dump(mode="json")
        return {}


@dataclass(frozen=True)
class World:
    """The parts that the operations work on."""

    settings: Settings
    clock: Clock
    timeline: Timeline
    store: Store
    faults: FaultScript
    jobs: JobBook
    profiles: ProfileBook
    usage: Usage
    objects: ObjectStore
    backend: Backend
