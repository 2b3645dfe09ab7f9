"""Runs with a real Spark: prepare the template, and kill Spark drivers, workers and executors.

A run is started by its command. As soon as a stage has begun, one of the processes dies by SIGKILL.
Then the same command carries the run on, and the judge reads what it published. Needs Linux: it
finds processes in /proc.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.run_folder.run import open_run
from bench.chaos.cycle import BUCKET, KEYS, QUIET, Story, Workshop
from bench.chaos.evidence import gather, rows_of
from bench.chaos.judge import NO_END, Fault, ResultRow, judge
from bench.chaos.plan import Dice
from bench.chaos.source import CONCURRENCY, config_of, write_source
from tests.forked_emulator import ForkedBedrock
from tests.jvm import java_options

# Runs with Spark are numbered from here, far from those without.
SPARK_NUMBERS = 1_000_000
STAGES = ("prepare", "collect", "fallback", "publish")
# What dies: the driver's Python alone or with all its processes; a Python worker; an executor.
VICTIMS = ("driver", "all", "worker", "executor")
_LOCAL, _CLUSTER = "local[2,4]", "local-cluster[2,1,600]"
_TIMEOUT_SECONDS = 400.0
# Emulated seconds per real second: a job of this table takes a third of a second.
_SPEED = 2000.0
_LOOK_SECONDS = 0.02
_MOST_COMMANDS = 4
_DAY = 86_400.0
# Answers that a task may have in memory, and its calls in flight (docs/fallback.md).
_UNWRITTEN = 2 * (100 + CONCURRENCY)
_LOST_OUTPUT = {"late_seconds", "missing_lines", "no_output"}
# Spark leaves files of its own when it is killed. These are in the names of this package's.
_OWN_TEMPORARY = ("bedrock-spark-", "results-")
_PREPARE = """
import sys
from pathlib import Path
from bedrock_spark.spark.session import spark_session
from bench.chaos.source import prepare_template
spark = spark_session()
prepare_template(spark, Path(sys.argv[1]), Path(sys.argv[2]))
spark.stop()
"""
_RUN = "from bedrock_spark.cli import main; main()"


def prepare_in_spark(workshop: Workshop) -> None:
    """Write the source table, and prepare the template in a process of its own."""
    write_source(workshop.source)
    command = [sys.executable, "-c", _PREPARE, str(workshop.template), str(workshop.source)]
    environment = _environment(workshop.folder, _LOCAL)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"preparing the shards failed:\n{done.stderr[-3000:]}")


def run_in_spark(
    workshop: Workshop, seed: int, number: int, expected: dict[str, str | None]
) -> Story:
    """Run the whole pipeline, kill one of its processes, carry it on and judge it."""
    dice = Dice(seed, SPARK_NUMBERS + number, workshop.without)
    chance = random.Random(f"{seed}/spark/{number}")
    stage, victim = STAGES[(number - 1) % len(STAGES)], chance.choice(VICTIMS)
    plan = dice.run()
    folder = workshop.folder / f"spark-{number:04d}"
    folder.mkdir()
    local = ForkedBedrock(workshop.server, speed=_SPEED, seed=plan.seed, faults=QUIET)
    with local:
        local.client("s3").create_bucket(Bucket=BUCKET)
        run = _SparkRun(local, workshop, folder, _CLUSTER if victim == "executor" else _LOCAL)
        local.set_faults(_milder(plan.faults))
        story = Story(plan)
        run.kill(stage, victim, chance.random() * 0.5, story)
        run.finish(story)
        if not story.faults:
            story.faults += run.judge(story, expected)
    return story


class _SparkRun:
    """One run, and its processes."""

    def __init__(self, local: LocalBedrock, workshop: Workshop, folder: Path, master: str) -> None:
        self._local = local
        self._folder = folder
        self._uri = f"s3://{BUCKET}/{folder.name}"
        self._published = folder / "published"
        values = config_of(
            self._uri,
            workshop.source,
            batch={"poll_seconds": 0.2},
            results={"format": "parquet", "path": str(self._published)},
            endpoint_url=local.endpoint_url,
        )
        self._config = folder / "config.yaml"
        self._config.write_text(json.dumps(values))
        self._values = values
        self._environment = _environment(folder, master)

    def kill(self, stage: str, victim: str, delay: float, story: Story) -> None:
        """Run until a stage has begun, and kill a process `delay` seconds later."""
        process = self._start()
        has_begun = self._begun(stage)
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while process.poll() is None and not has_begun() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        time.sleep(delay)
        killed = _kill(process.pid, victim) if process.poll() is None else 0
        calls = self._calls()
        what = f"{victim} killed in {stage}, {delay:.2f} s after its begin"
        story.kills += bool(killed)
        if killed:
            story.unwritten += min(calls, _UNWRITTEN)
        self._end(process, story)
        story.steps.append(f"{what}: {killed} processes; exit {process.returncode}")

    def finish(self, story: Story) -> None:
        """Carry the run on until it is done; then once more, after late outputs have come."""
        self._environment = _environment(self._folder, _LOCAL)
        for _ in range(_MOST_COMMANDS):
            if self._run(story) == 0:
                break
        else:
            text = f"not done after {_MOST_COMMANDS} more commands: {self._last_line()}"
            story.faults.append(Fault(NO_END, text))
        self._local.set_faults(QUIET)
        self._local.advance_clock(_DAY)
        if not story.faults and self._run(story) != 0:
            story.faults.append(Fault(NO_END, f"done, then not done: {self._last_line()}"))

    def judge(self, story: Story, expected: dict[str, str | None]) -> list[Fault]:
        """Return the judge's faults, by what was published."""
        run = open_run(parse_config(self._values), SystemClock())
        results = self._results()
        leftovers = [
            path.name
            for path in (self._folder / "tmp").rglob("*")
            if any(part in path.name for part in _OWN_TEMPORARY)
        ]
        evidence = gather(
            run, self._local, KEYS, expected, story.unwritten, leftovers, results=results
        )
        return judge(evidence)

    def _results(self) -> list[ResultRow]:
        return rows_of(pq.read_table(self._published).to_pylist())

    def _run(self, story: Story) -> int | None:
        process = self._start()
        self._end(process, story)
        story.steps.append(f"run: exit {process.returncode}")
        return process.returncode

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _RUN, "run", str(self._config)],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, process: subprocess.Popen[bytes], story: Story) -> None:
        """Wait until a command ends, and end the processes that it leaves."""
        try:
            process.wait(_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            story.faults.append(Fault(NO_END, f"run did not end in {_TIMEOUT_SECONDS:g} s"))
        _kill(process.pid, "all")
        process.wait()

    def _begun(self, stage: str) -> Callable[[], bool]:
        if stage == "publish":
            return self._published.exists
        if stage == "fallback":
            return lambda: self._calls() > 0
        prefix = {"prepare": "shards/", "collect": "results/"}[stage]
        s3 = self._local.client("s3")
        key = f"{self._folder.name}/{prefix}"
        return lambda: bool(s3.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents"))

    def _calls(self) -> int:
        return int(self._local.usage()["totals"]["invocations"])

    def _last_line(self) -> str:
        lines = (self._folder / "log").read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if line.startswith("error")), lines[-1])


def _milder(faults: dict[str, Any]) -> dict[str, Any]:
    """Return the faults without those that only a fast clock can wait for."""
    calls = {"throttle_rate": 0.1, "drop_before_rate": 0.05, "drop_after_rate": 0.05}
    objects = {"throttle_rate": 0.01, "drop_after_rate": 0.01}
    methods = ("GET", "PUT", "DELETE")
    operations = {"*": calls, **{f"s3:{method}": objects for method in methods}}
    # Output that is claimed and not found is waited for a quarter of an hour.
    jobs = [rule for rule in faults["jobs"] if not _LOST_OUTPUT & rule.get("output", {}).keys()]
    return {**faults, "operations": operations, "jobs": jobs, "list_lag_seconds": 0}


def _environment(folder: Path, master: str) -> dict[str, str]:
    """Return the environment of a Spark driver whose temporary files are in the folder."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    root = str(Path(__file__).parents[2])
    return {
        **os.environ,
        "PYTHONPATH": root,
        "TMPDIR": str(temporary),
        "SPARK_LOCAL_DIRS": str(temporary),
        "SPARK_SUBMIT_OPTS": java_options(),
        "PYSPARK_SUBMIT_ARGS": f"--master {master} --conf spark.executor.memory=500m "
        "--conf spark.sql.shuffle.partitions=2 pyspark-shell",
    }


def _kill(session: int, victim: str) -> int:
    """Kill a victim among the processes of a session; return how many processes died."""
    pids = [session] if victim == "driver" else []
    for pid, command in _processes(session):
        is_worker = "pyspark.daemon" in command or "pyspark/daemon" in command
        is_executor = "CoarseGrainedExecutorBackend" in command
        if victim == "all" or (victim == "worker" and is_worker):
            pids.append(pid)
        elif victim == "executor" and is_executor:
            pids = [pid]
    if victim == "worker":
        pids = pids[-1:]  # the daemon is the first, its workers follow
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        except ProcessLookupError:
            continue
    return killed


def _processes(session: int) -> Iterator[tuple[int, str]]:
    """Yield the processes of a session, the oldest first: id and command."""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            yield int(folder.name), command
