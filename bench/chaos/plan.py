"""What a seed means: the faults of the service, the config and the processes of every run.

All random choices of a run are drawn from its own generator, so a run can be repeated alone.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bench.chaos.process import Command, Kill
from tests.models import CLAUDE_MODEL

# Kinds of trouble that can be left out.
KINDS = ("lost_outputs", "late_outputs", "speculation", "units", "pairs", "clocks")
_THROTTLED, _FAILED, _DROPPED = 0.3, 0.05, 0.05
_OFFSETS = (-3600.0, -500.0, -120.0, -30.0, -1.0, 0.0, 0.0, 0.0, 1.0, 30.0, 120.0, 500.0, 3600.0)
# Commands, and how often each is drawn. {config} and {uri} are filled in.
_COMMANDS = {
    ("run", "{config}"): 40,
    ("submit", "{config}"): 15,
    ("advance", "{config}"): 15,
    ("collect", "{config}"): 8,
    ("fallback", "{config}"): 17,
    ("stop", "{uri}", "--endpoint-url", "{endpoint}"): 5,
}
# Commands that run at the same time.
_PAIRS = (("run", "run"), ("run", "stop"), ("submit", "advance"), ("fallback", "fallback"),
          ("run", "collect"), ("fallback", "collect"), ("run", "submit"))  # fmt: skip
_MOST_CALLS = 150


@dataclass(frozen=True)
class RunPlan:
    """One run: the seed and the faults of the service, the config, and the number of kills."""

    number: int
    seed: int
    faults: dict[str, Any]
    batch: dict[str, Any]
    fallback: dict[str, Any]
    kills: int


class Dice:
    """Draws one run. without: the kinds of trouble to leave out"""

    def __init__(self, seed: int, number: int, without: Collection[str] = ()) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._number = number
        self._without = without

    def run(self) -> RunPlan:
        """Draw the run itself. Call this first."""
        chance = self._random
        batch = {"max_active_jobs": chance.choice([2, 3, 6, 20])}
        fallback: dict[str, Any] = {}
        if self._has("units") and chance.random() < 0.25:
            fallback["model_id"] = CLAUDE_MODEL
            fallback["create"] = {"model_units": 1, "confirm": True}
        seed = chance.randrange(2**31)
        return RunPlan(
            self._number, seed, self._faults(), batch, fallback, kills=chance.randint(4, 9)
        )

    def step(self, places: dict[str, str]) -> tuple[Command, ...]:
        """Draw the next commands: one, or two at the same time."""
        chance = self._random
        names = {arguments[0]: arguments for arguments in _COMMANDS}
        if self._has("pairs") and chance.random() < 0.2:
            drawn = [names[name] for name in chance.choice(_PAIRS)]
        else:
            drawn = chance.choices(list(_COMMANDS), list(_COMMANDS.values()))
        return tuple(self.command(arguments, places, kill=True) for arguments in drawn)

    def command(
        self, arguments: tuple[str, ...], places: dict[str, str], *, kill: bool = False
    ) -> Command:
        """Draw the clock, the repeated tasks and the kill of a command."""
        chance = self._random
        # The first calls of a process are few and matter most, so some kills are log-uniform.
        share = chance.random()
        call = int(_MOST_CALLS**share if chance.random() < 0.3 else 1 + _MOST_CALLS * share)
        when = chance.choice(["before", "after"])
        offset = chance.choice(_OFFSETS)
        twice = chance.choice([0.0, 0.0, 0.3])
        return Command(
            tuple(argument.format(**places) for argument in arguments),
            seed=chance.randrange(2**31),
            offset=offset if self._has("clocks") else 0.0,
            twice=twice if self._has("speculation") else 0.0,
            kill=Kill(call, when) if kill else None,
        )

    def _has(self, kind: str) -> bool:
        return kind not in self._without

    def _faults(self) -> dict[str, Any]:
        chance = self._random
        calls = {
            "throttle_rate": _THROTTLED,
            "error_rate": _FAILED,
            "drop_before_rate": _DROPPED,
            "drop_after_rate": _DROPPED,
        }
        objects = {
            "throttle_rate": 0.02,
            "error_rate": 0.02,
            "drop_before_rate": 0.01,
            "drop_after_rate": 0.02,
        }
        methods = ("GET", "PUT", "HEAD", "POST", "DELETE")
        return {
            "operations": {
                "*": calls,
                **{f"s3:{method}": objects for method in methods},
                # Whoever may not read the quotas learns them from refusals.
                "ListServiceQuotas": {"error_rate": chance.choice([0.0, 1.0])},
            },
            "quotas": {"active_jobs": chance.choice([1, 2, 4, 20]), "min_records": 10},
            "list_lag_seconds": chance.choice([0, 0, 5, 20]),
            "records": [
                {"share": 0.06, "code": 500},
                {"share": 0.04, "code": 429},
                {"share": 0.01, "code": 400},
            ],
            "jobs": self._job_faults(),
            "behaviour": {
                "used_token": chance.choice(["ignore", "refuse"]),
                "used_name": chance.choice(["refuse", "refuse_while_active"]),
                "null_members": chance.choice([True, False]),
            },
        }

    def _job_faults(self) -> list[dict[str, Any]]:
        chance = self._random
        share = chance.choice([0.05, 0.1, 0.2])
        rules: list[dict[str, Any]] = [
            {"end": "Failed"},
            {"end": "Expired"},
            {"end": "Stopped", "processed_share": chance.random()},
            {"end": "PartiallyCompleted", "processed_share": 0.6},
            {"end": "PartiallyCompleted", "processed_share": 0.3, "unprocessed": "expired"},
            {"slowdown": 20},
            {"output": {"duplicated_lines": 0.1}},
            {"output": {"wrong_manifest": True}},
            {"output": {"no_manifest": True}},
        ]
        if self._has("late_outputs"):
            rules.append({"output": {"late_seconds": 40}})
        if self._has("lost_outputs"):
            rules += [{"output": {"missing_lines": 0.1}}, {"output": {"no_output": True}}]
        chance.shuffle(rules)
        return [{**rule, "share": share / (1 + index / 4)} for index, rule in enumerate(rules)]
