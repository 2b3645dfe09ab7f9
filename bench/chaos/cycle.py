"""One run: its processes are killed, others carry it on, and the judge looks at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bedrock_emulator import LocalBedrock
from bedrock_spark.config import parse_config
from bedrock_spark.run_folder.run import Run
from bench.chaos.evidence import gather, read_results
from bench.chaos.judge import NO_END, Fault, judge
from bench.chaos.plan import Dice, RunPlan
from bench.chaos.process import FLUSH_RECORDS, SPEED, Command, Nursery
from bench.chaos.source import CONCURRENCY, ROWS, begin_prepared, config_of
from bench.chaos.stand_in import TASKS_AT_ONCE
from tests.forked_emulator import BedrockServer, ForkedBedrock

# The clocks of the service and of the processes run equally fast. So that a run takes seconds, what
# lasts minutes at the service lasts seconds: a job takes 20, a third of a real one.
TIMINGS = {
    "submitted": 2.0,
    "validating": 4.0,
    "scheduled": 2.0,
    "in_progress": 10.0,
    "in_progress_per_record": 0.05,
    "stopping": 1.0,
    "provisioning": 20.0,
}
BUCKET = "chaos"
KEYS = tuple(f"row-{n:04d}" for n in range(ROWS))
QUIET = {"quotas": {"min_records": 10}}
# An undisturbed run is without these.
_PROCESS_TROUBLE = ("speculation", "pairs", "clocks")
_DAY = 86_400.0
_KILLED = -9
_WRONG_USE = (2, -11)
_TIMEOUT_SECONDS = 300.0
# A run must end after this many further commands, whatever happened before.
_MOST_COMMANDS = 15
# A call that is in flight when its process dies is billed within this time.
_IN_FLIGHT_SECONDS = 0.1
_UNWRITTEN_PER_KILL = TASKS_AT_ONCE * (FLUSH_RECORDS + CONCURRENCY)


@dataclass
class Story:
    """What happened in a run: its commands, the kills, and the faults that the judge found."""

    plan: RunPlan
    steps: list[str] = field(default_factory=list)
    kills: int = 0
    unwritten: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass
class Workshop:
    """All that the runs share: the fork servers, the source and the template."""

    server: BedrockServer
    folder: Path
    without: Collection[str] = ()

    @property
    def source(self) -> Path:
        """Return the source table."""
        return self.folder / "source.parquet"

    @property
    def template(self) -> Path:
        """Return the prepared run folder."""
        return self.folder / "template"

    def copy_prepared(self, folder: Path) -> None:
        """Take the source and the template of another folder, as they are."""
        shutil.copy(folder / self.source.name, self.source)
        shutil.copytree(folder / self.template.name, self.template)

    def undisturbed(self) -> dict[str, str | None]:
        """Return the answers of a run without any fault, by key."""
        plan = RunPlan(0, 1, QUIET, {}, {}, kills=0)
        with _Cycle(self, plan, Dice(0, 0, _PROCESS_TROUBLE)) as cycle:
            cycle.finish()
            assert not cycle.story.faults, cycle.story.faults
            return {row.key: row.text for row in read_results(cycle.run.storage)}

    def run(self, seed: int, number: int, expected: Mapping[str, str | None], most: int) -> Story:
        """Begin a run, kill its processes at most `most` times, finish it and judge it."""
        dice = Dice(seed, number, self.without)
        plan = dice.run()
        plan = replace(plan, kills=min(plan.kills, most))
        with _Cycle(self, plan, dice) as cycle:
            cycle.disturb()
            cycle.finish()
            cycle.judge(expected)
        return cycle.story


class _Cycle:
    """One run in a local Bedrock of its own."""

    def __init__(self, workshop: Workshop, plan: RunPlan, dice: Dice) -> None:
        self.story = Story(plan)
        self._plan = plan
        self._dice = dice
        self._template = workshop.template
        self._folder = workshop.folder / f"run-{plan.number:04d}"
        self._folder.mkdir()
        self._log = self._folder / "log"
        self._read_bytes = 0
        self._source = workshop.source
        self._local: LocalBedrock = ForkedBedrock(
            workshop.server, speed=SPEED, seed=plan.seed, faults=QUIET, timings=TIMINGS
        )

    def __enter__(self) -> _Cycle:
        self._local.start()
        self._nursery = Nursery(_origin(self._local.now()), self._folder)
        self._local.client("s3").create_bucket(Bucket=BUCKET)
        values = config_of(
            f"s3://{BUCKET}/run-{self._plan.number}",
            self._source,
            batch=self._plan.batch,
            fallback=self._plan.fallback,
            endpoint_url=self._local.endpoint_url,
        )
        config = self._folder / "config.yaml"
        config.write_text(json.dumps(values))  # YAML has JSON in it
        self.run: Run = begin_prepared(self._template, parse_config(values))
        self._places = {
            "config": str(config),
            "uri": self.run.storage.uri,
            "endpoint": self._local.endpoint_url,
        }
        self._local.set_faults(self._plan.faults)
        return self

    def __exit__(self, *_: object) -> None:
        self._local.stop()

    def disturb(self) -> None:
        """Start commands and kill them, until the run has had its kills or is done."""
        for _ in range(3 * self._plan.kills):
            if self.story.kills >= self._plan.kills:
                return
            self._perform(self._dice.step(self._places))
            if self.story.faults:
                return

    def finish(self) -> None:
        """Carry the run on until it is done; then let late outputs come, and run it once more."""
        for _ in range(_MOST_COMMANDS):
            if self.story.faults or self._run_once() == 0:
                break
        else:
            text = f"not done after {_MOST_COMMANDS} more commands: {self._last_line()}"
            self.story.faults.append(Fault(NO_END, text))
        self._local.set_faults(QUIET)
        self._local.advance_clock(_DAY)
        if not self.story.faults and self._run_once(_DAY) != 0:
            self.story.faults.append(Fault(NO_END, f"done, then not done: {self._last_line()}"))

    def judge(self, expected: Mapping[str, str | None]) -> None:
        """Add the judge's faults to the story."""
        evidence = gather(
            self.run,
            self._local,
            KEYS,
            expected,
            unwritten=self.story.unwritten,
            leftovers=self._nursery.leftovers(),
        )
        self.story.faults += judge(evidence)

    def _run_once(self, later: float = 0.0) -> int | None:
        command = self._dice.command(("run", "{config}"), self._places)
        return self._perform((replace(command, offset=command.offset + later),))[0]

    def _perform(self, commands: tuple[Command, ...]) -> list[int | None]:
        """Run commands at the same time; note the kills, and what a kill may cost."""
        before = self._calls()
        started = [self._nursery.start(command, self._log) for command in commands]
        for process in started:
            process.join(_TIMEOUT_SECONDS)
        codes = [process.exitcode for process in started]
        kills = 0
        for command, process, code in zip(commands, started, codes, strict=True):
            is_killed = code == _KILLED and command.kill is not None
            kills += is_killed
            self.story.steps.append(f"{command}: {'killed' if is_killed else f'exit {code}'}")
            if code is None:
                process.kill()
                text = f"{command.arguments[0]} did not end in {_TIMEOUT_SECONDS:g} s"
                self.story.faults.append(Fault(NO_END, text))
            elif code in _WRONG_USE or "Traceback" in self._new_log():
                text = f"{command.arguments[0]} crashed with exit {code}: {self._last_line()}"
                self.story.faults.append(Fault(NO_END, text))
        self.story.kills += kills
        if kills:
            time.sleep(_IN_FLIGHT_SECONDS)
            self.story.unwritten += min(self._calls() - before, kills * _UNWRITTEN_PER_KILL)
        return codes

    def _calls(self) -> int:
        return int(self._local.usage()["totals"]["invocations"])

    def _new_log(self) -> str:
        """Return what was logged since the last time."""
        data = self._log.read_bytes() if self._log.exists() else b""
        new, self._read_bytes = data[self._read_bytes :], len(data)
        return new.decode(errors="replace")

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing was logged"


def _origin(now: float) -> float:
    """Return the real time at which a clock was right that is fast and shows `now` at present."""
    return (time.time() * SPEED - now) / (SPEED - 1)


def as_json(story: Story) -> dict[str, Any]:
    """Return a story for a log."""
    return {
        "run": story.plan.number,
        "kills": story.kills,
        "steps": story.steps,
        "faults": [str(fault) for fault in story.faults],
    }
