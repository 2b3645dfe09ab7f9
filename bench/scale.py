"""Measure what each stage costs a shard, with 1,000, 10,000 and 100,000 shards of 20 records.

    python bench/scale.py [--large] [--stages collect_unchanged status …]

Without --large: 1,000 and 10,000 shards, of fan_out the half. Each stage of each size runs in a
process of its own, on a local run folder. Only the driver is measured: its CPU time, its peak
resident set, and the calls that S3 would get from it.

    prepare            the manifest: check the files of all shards, commit it, read it again
    fan_out            a simulated run to its end: bench/fanout.py
    collect_unchanged  nothing has changed since the shards were collected: no Spark action
    collect_1_percent  the outputs of every hundredth shard are new
    collect_all        all outputs are new; 1,000 shards, and 10,000 with --large
    status             from the ledger, and one listing of all jobs
    report             from the reconciliations of all shards
    findings           the same, with two findings a shard
    deal               the fallback: deal the unanswered records of all shards to tasks
    requeue            look for records to ask again: one table is read

Goals: ten times the shards take at most 10.5 times the CPU time, and at most 1.1 times the memory a
shard; a collect takes at most 1 ms for an unchanged shard, and `status` at most 10 s for 100,000
jobs. Two figures tell the memory a shard: that beyond 200 MB, and that beyond what the process has
before the stage begins, with all modules, and with Spark. The first one says little, because with
10,000 shards nearly nothing is beyond 200 MB. Prints one JSON object per line: `{name, value, unit,
goal, better, detail}`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import FallbackConfig
from bedrock_spark.fanout import Controller, requeue_answered, status_of
from bedrock_spark.fanout.scheduler import AllowAll
from bedrock_spark.fanout.targets import home_target
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconcile import Finding
from bedrock_spark.outputs.reconciled_shard import CollectedJob, ReconciledShard
from bedrock_spark.outputs.reconciliations import read_reconciliations, write_table
from bedrock_spark.outputs.run_inputs import scan_inputs
from bedrock_spark.outputs.stored_rows import StoredRow
from bedrock_spark.report.build import write_report
from bedrock_spark.report.gather import gather_report, read_known
from bedrock_spark.report.values import Ending
from bedrock_spark.run_folder.ledger import JobTokens, Ledger
from bedrock_spark.run_folder.ledger.events import Event, Seen, Submitting
from bedrock_spark.run_folder.manifest import commit_manifest, require_manifest
from bedrock_spark.run_folder.prepared_files import check_written
from bench.common.figures import report
from bench.common.many_shards import (
    MAX_TOKENS,
    PREPARE_ID,
    RECORDS,
    SUBMITTED_AT,
    bench_run,
    change,
    jobs_of,
    manifest_of,
    seen_job,
    shard_name,
    write_outputs,
    write_prepared,
    write_reconciled,
    write_results,
)
from bench.common.memory import Peaks, begin_peak

SMALL, LARGE = (1_000, 10_000), (1_000, 10_000, 100_000)
TIMES, TIME_GOAL, MEMORY_GOAL, FREE_MEGABYTES = 10, 10.5, 1.1, 200.0
STATUS_SECONDS, UNCHANGED_MS = 10.0, 1.0
CHANGED_EVERY = 100
# The records of each shard that the fallback asks.
UNANSWERED = 10


@dataclass(frozen=True)
class Stage:
    """One stage: what its run folder has before, and what is measured.

    write: makes the run folder of `shards` shards; stages with the same one share the folder
    run: does the stage; returns the number of calls to S3
    change: changes the folder first, so it is of no use for a later stage
    """

    write: Callable[[Path, int], None]
    run: Callable[[Path, int], int]
    change: Callable[[Path, int], None] | None = None
    sizes: tuple[int, ...] = LARGE
    small: tuple[int, ...] = SMALL


def write_ledger(folder: Path, shards: int) -> None:
    """Write the events of jobs that have all ended, 1,000 jobs an object, and the manifest."""
    run = bench_run(folder)
    commit_manifest(run.storage, manifest_of(shards))
    ledger = Ledger(run.storage)
    events: list[Event] = []
    for n in range(shards):
        job, at = seen_job(n), SUBMITTED_AT
        events.append(Submitting(shard_name(n), 1, job.job_name, job.token or "", at))
        counts, times = (RECORDS, RECORDS, RECORDS, 0), (at, at + 600.0)
        events.append(
            Seen(job.job_name, job.job_arn, job.status, None, counts, at, times, JobTokens(180, 40))
        )
        if n % 1_000 == 999:
            ledger.append(events)
            events = []
    ledger.append(events)


def write_all_collected(folder: Path, shards: int, *, findings: int = 0) -> None:
    """Write the run folder as it is after a collect of all shards."""
    from bedrock_spark.spark.collect.stage import collect_task
    from bedrock_spark.spark.collect.task import ShardWork

    write_ledger(folder, shards)
    write_outputs(folder, shards, range(0, shards, CHANGED_EVERY))
    run, jobs = bench_run(folder), {job.shard_id: job for job in jobs_of(shards).values()}
    task = collect_task(run, PREPARE_ID, jobs.values())
    results = write_results(folder, [shard_name(n) for n in range(shards)])
    rows = []
    for unit, inputs in scan_inputs(run.storage):
        work = ShardWork(unit, None, (jobs[unit],), tuple(inputs))
        made = reconciled(unit, task.fingerprint(inputs, work), results[unit], findings)
        rows.append((unit, made.to_json()))
    versions = write_reconciled(folder, rows)
    table = {unit: StoredRow(versions[unit], data) for unit, data in rows}
    write_table(bench_run(folder).storage, table)


def reconciled(unit: str, fingerprint: str, results: str, findings: int) -> ReconciledShard:
    """Return a reconciliation as collect writes it: two rows are errors.

    results: the version of the results
    """
    ok = RECORDS - 2
    job_id = f"{int(unit.split('-')[1]):012d}"
    return ReconciledShard(
        unit=unit,
        rows=RECORDS,
        outcomes={"ok": ok, "error": 2, "missing": 0},
        served_by={"batch": ok, "fallback": 0},
        stop_reasons={"end_turn": ok},
        tokens={"input": 180, "output": 40},
        manifest_tokens={"input": 180, "output": 40, "images": 0},
        jobs=(CollectedJob(job_id, 1, {"ok": ok, "error": 2, "bad": 0}, 180, 40, None),),
        lines={"ok": ok, "error": 2, "bad": 0},
        reasons=(Reason("error", 400, "malformed input request", 2),),
        findings=tuple(
            Finding("bad_line", unit, f"output/{unit}/a1: byte {n}", 1) for n in range(findings)
        ),
        files=(results, ""),
        outputs="0" * 32,
        jobs_known="0" * 32,
        unanswered_digest="0" * 32,
        fingerprint=fingerprint,
    )


def change_some(folder: Path, shards: int) -> None:
    for n in range(0, shards, CHANGED_EVERY):
        change(folder, n)


def write_uncollected(folder: Path, shards: int) -> None:
    write_ledger(folder, shards)
    write_outputs(folder, shards, range(shards))


def run_prepare(folder: Path, shards: int) -> int:
    run = bench_run(folder)
    manifest = manifest_of(shards)
    check_written(run.storage, manifest)
    commit_manifest(run.storage, manifest)
    assert len(require_manifest(run.storage).shards) == shards
    return calls_of(run)


def run_fan_out(folder: Path, shards: int) -> int:
    from bench.fanout import control

    control(folder, shards)
    return 0


def run_collect(folder: Path, shards: int) -> int:
    from bedrock_spark.spark.collect.stage import collect
    from bench.common.spark_session import bench_session

    run = bench_run(folder)
    with bench_session("2g") as spark:
        spark.range(2, numPartitions=2).rdd.map(str).collect()  # the workers have started
        work = Measured()
        manifest, jobs = require_manifest(run.storage), Ledger(run.storage).replay()
        units = collect(spark, run, manifest, jobs)
        assert sum(unit.rows for unit in units) == shards * RECORDS
        work.end()
    return calls_of(run)


def run_status(folder: Path, shards: int) -> int:
    run, clock = bench_run(folder), SystemClock()
    target = home_target(run, BatchJobs(FinishedJobs(shards), clock))  # type: ignore[arg-type]
    manifest, ledger = require_manifest(run.storage), Ledger(run.storage)
    controller = Controller(
        *(run, manifest, clock, (target,), ledger, None, AllowAll()), reads_only=True
    )
    status = status_of(controller, clock)
    assert status.settled == shards == status.jobs["Completed"]
    return calls_of(run)


class FinishedJobs:
    """The listing of a client: all jobs have ended."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def list_model_invocation_jobs(self, **request: Any) -> dict[str, Any]:
        start = int(request.get("nextToken", 0))
        stop = min(self._shards, start + request["maxResults"])
        page = {"invocationJobSummaries": [_summary(n) for n in range(start, stop)]}
        return page | ({"nextToken": str(stop)} if stop < self._shards else {})


def _summary(number: int) -> dict[str, Any]:
    job = seen_job(number)
    return {
        "jobArn": job.job_arn,
        "jobName": job.job_name,
        "clientRequestToken": job.token,
        "status": job.status,
        "totalRecordCount": job.total,
        "processedRecordCount": job.processed,
        "successRecordCount": job.succeeded,
        "errorRecordCount": job.failed,
        "submitTime": dt.datetime.fromtimestamp(SUBMITTED_AT, dt.UTC),
        "endTime": dt.datetime.fromtimestamp(SUBMITTED_AT + 600, dt.UTC),
    }


def run_report(folder: Path, shards: int) -> int:
    run = bench_run(folder)
    units = read_reconciliations(run.storage)
    manifest = require_manifest(run.storage)
    known = read_known(run, manifest, with_last=False)  # as after a collect
    made = gather_report(run, known, units, {}, Ending(), SUBMITTED_AT)
    assert made.is_complete
    assert made.rows == shards * RECORDS
    write_report(run, made)
    return calls_of(run)


def run_deal(_folder: Path, shards: int) -> int:
    from bedrock_spark.spark.fallback.parts import number_of_tasks, split_into_parts

    counts = {shard_name(n): UNANSWERED for n in range(shards)}
    digests = {name: f"{name:0>32}" for name in counts}
    config = FallbackConfig.model_construct(
        concurrency=8, requests_per_minute=None, tokens_per_minute=None
    )
    tasks = number_of_tasks(sum(counts.values()), config)
    Measured()  # who makes these has read them from the run folder
    parts = split_into_parts(counts, tasks, None, digests)
    Measured.last.end()  # type: ignore[union-attr]
    assert sum(own.records for own in parts) == shards * UNANSWERED
    return 0


def run_requeue(folder: Path, shards: int) -> int:
    run, clock = bench_run(folder), SystemClock()
    asking = run.config.request.model_copy(
        update={"on_truncated": "retry", "max_tokens_ceiling": 8 * MAX_TOKENS}
    )
    run = type(run)(
        *(run.run_id, run.config.model_copy(update={"request": asking}), run.storage, run.aws)
    )
    target = home_target(run, BatchJobs(FinishedJobs(shards), clock))  # type: ignore[arg-type]
    manifest, ledger = require_manifest(run.storage), Ledger(run.storage)
    controller = Controller(run, manifest, clock, (target,), ledger, None, AllowAll())
    before = calls_of(run)
    assert requeue_answered(controller) == 0
    assert calls_of(run) > before  # without records that may be asked again, it reads nothing
    return calls_of(run)


def calls_of(run: Any) -> int:
    calls: int = run.storage.calls
    return calls


def nothing(folder: Path, _shards: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def write_findings(folder: Path, shards: int) -> None:
    write_all_collected(folder, shards, findings=2)


STAGES = {
    "prepare": Stage(write_prepared, run_prepare),
    "fan_out": Stage(nothing, run_fan_out, small=(500, 5_000)),
    "deal": Stage(nothing, run_deal),
    "collect_all": Stage(write_uncollected, run_collect, sizes=(1_000, 10_000), small=(100, 1_000)),
    "findings": Stage(write_findings, run_report),
    "status": Stage(write_all_collected, run_status),
    "report": Stage(write_all_collected, run_report),
    "requeue": Stage(write_all_collected, run_requeue),
    "collect_unchanged": Stage(write_all_collected, run_collect),
    "collect_1_percent": Stage(write_all_collected, run_collect, change_some),
}


class Folders:
    """Run folders, each written once for all stages that begin with the same one."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._made = 0
        self._written: dict[tuple[Callable[[Path, int], None], int], Path] = {}

    def of(self, stage: Stage, shards: int) -> Path:
        """Return the run folder that a stage begins with."""
        key = stage.write, shards
        if key not in self._written:
            self._written[key] = self._place / f"run-{self._made}"
            self._made += 1
            stage.write(self._written[key], shards)
        folder = self._written[key]
        if stage.change is not None:
            del self._written[key]
            stage.change(folder, shards)
        return folder


class Measured:
    """The time and the memory from here on; a stage that starts Spark first begins it again.

    start_megabytes: the resident set at the begin
    """

    last: Measured | None = None

    def __init__(self) -> None:
        self.start_megabytes = begin_peak()
        self.cpu, self.wall = time.process_time(), time.monotonic()
        self.seconds: tuple[float, float] | None = None
        Measured.last = self

    def end(self) -> tuple[float, float]:
        """Return the CPU and wall seconds up to the first call of this."""
        if self.seconds is None:
            self.seconds = time.process_time() - self.cpu, time.monotonic() - self.wall
        return self.seconds


def measure(name: str, shards: int, folder: Path) -> None:
    """Do one stage in this process; print its figures."""
    Measured()
    calls = STAGES[name].run(folder, shards)
    assert Measured.last is not None
    cpu, wall = Measured.last.end()
    # Not ru_maxrss: that of a new process begins with its parent's.
    megabytes = Peaks().driver_megabytes
    figures = {"cpu": cpu, "wall": wall, "megabytes": megabytes, "calls": calls}
    figures["start_megabytes"] = Measured.last.start_megabytes
    sys.stdout.write("\n" + json.dumps(figures))


def measured(name: str, shards: int, folder: Path) -> dict[str, float]:
    """Do one stage in a process of its own; return its figures."""
    arguments = [sys.executable, __file__, "--measure", name, str(shards), str(folder)]
    child = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return figures


def compare(name: str, sizes: tuple[int, ...], folders: Folders) -> None:
    """Run a stage with each number of shards; report each, and how it grows."""
    found: dict[int, dict[str, float]] = {}
    for shards in sizes:
        found[shards] = figures = measured(name, shards, folders.of(STAGES[name], shards))
        is_unchanged = name == "collect_unchanged"
        detail = {key: round(value, 3) for key, value in figures.items()}
        report(
            *(f"{name}_ms_per_shard", 1e3 * figures["cpu"] / shards, "ms"),
            *(UNCHANGED_MS if is_unchanged else None, "lower"),
            shards=shards,
            calls_per_shard=round(figures["calls"] / shards, 4),
            **detail,
        )
        if name == "status" and shards == max(LARGE):
            report("status_seconds", figures["wall"], "s", STATUS_SECONDS, "lower", jobs=shards)
    for shards in sizes[:-1]:
        once, more = found[shards], found[shards * TIMES]
        detail = {"shards": [shards, shards * TIMES]}
        growth = more["cpu"] / once["cpu"]
        report(f"{name}_growth", growth, "ratio", TIME_GOAL, "lower", **detail)
        for figure, free in (
            ("memory_growth", (FREE_MEGABYTES, FREE_MEGABYTES)),
            ("memory_growth_beyond_start", (once["start_megabytes"], more["start_megabytes"])),
        ):
            beyond = [
                max(0.0, figures["megabytes"] - megabytes) * 1e3 / count
                for count, figures, megabytes in zip(
                    (shards, shards * TIMES), (once, more), free, strict=True
                )
            ]
            if beyond[0]:
                kilobytes = {"kilobytes_per_shard": [round(one, 2) for one in beyond]}
                report(
                    *(f"{name}_{figure}", beyond[1] / beyond[0], "ratio", MEMORY_GOAL, "lower"),
                    **(detail | kilobytes),
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--shards", nargs="*", type=int)
    parser.add_argument("--measure", nargs=3, metavar=("STAGE", "SHARDS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.measure:
        name, shards, folder = arguments.measure
        measure(name, int(shards), Path(folder))
        return
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as place:
        folders = Folders(Path(place))
        for name, stage in STAGES.items():
            if name in arguments.stages:
                sizes = stage.sizes if arguments.large else stage.small
                compare(name, tuple(arguments.shards or sizes), folders)


if __name__ == "__main__":
    main()
