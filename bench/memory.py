"""Measure the memory of an executor by the size of its shards: Python workers, and Spark's Java.

    python bench/memory.py [--megabytes 10 50 100 200]

Every figure is the peak resident set of one Python worker (VmHWM), which runs one task at a time:
an executor with four cores has four of them. Each stage of each case runs in its own process, with
one core and a heap of 1 GB, against a local Bedrock that keeps the run folder in its S3. A goal is
what docs/memory.md promises. Memory does not depend on how loaded the machine is.

The source rows are kept with the results, as by default: so the prompt is in the shard's lines, in
its rows, in Bedrock's output and in the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path

from common.figures import report
from common.local_bedrock import use_local_credentials
from common.memory import Peaks, watched
from common.one_shard import (
    BUCKET,
    RECORDS,
    Case,
    config_of,
    leave_unanswered,
    run_collect,
    run_fallback,
    run_prepare,
    run_prepare_by_spark,
    write_output,
    write_source,
)
from common.spark_session import bench_session
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.run import Run, open_run

HEAP = "1g"
# On one machine, prepare is other work than on a cluster. It has a run folder of its own.
LOCAL = "prepare_on_one_machine"
STAGES: dict[str, Callable[[SparkSession, Run], None]] = {
    LOCAL: run_prepare,
    "prepare": run_prepare_by_spark,
    "collect": run_collect,
    "fallback": run_fallback,
}
MEGABYTES = (10, 50, 100, 200)
# Records of these bytes fill the largest shard with fewer records than a shard may have.
LARGE_RECORDS = (20_000, 100_000)
# Long answers: they are not in the shard, but in its output and in the results.
LONG_MEGABYTES, LONG_ANSWER_BYTES = 100, 4_000
_MEGABYTE = 1_000_000


def goal(stage: str) -> float:
    """Return what docs/memory.md promises for a Python worker of a stage, in MB."""
    return {
        LOCAL: 450.0,
        "prepare": 450.0,
        "collect": 400.0,
        "fallback": 250.0,
    }[stage]


def cases(megabytes: list[int]) -> list[Case]:
    """Return shards of these sizes with the most records; with large records; with long answers."""
    most = max(megabytes) * _MEGABYTE
    return [
        *(Case(RECORDS, size * _MEGABYTE // RECORDS) for size in megabytes),
        *(Case(most // line_bytes, line_bytes) for line_bytes in LARGE_RECORDS),
        Case(RECORDS, LONG_MEGABYTES * _MEGABYTE // RECORDS, LONG_ANSWER_BYTES),
    ]


def measure(stage: str, case: Case, source: Path, endpoint: str) -> dict[str, float]:
    """Run one stage in this process; return the peaks of its processes, in MB."""
    folder = LOCAL if stage == LOCAL else case.name
    run = open_run(config_of(case, source, endpoint, f"{folder}/{case.name}"), SystemClock())
    with bench_session(HEAP, cores=1) as spark, watched() as peaks:
        STAGES[stage](spark, run)
    return figures_of(peaks)


def figures_of(peaks: Peaks) -> dict[str, float]:
    return {
        "worker": peaks.worker_megabytes,
        "worker_address_space": peaks.worker_address_megabytes,
        "jvm": peaks.jvm_megabytes,
    }


def in_child(stage: str, case: Case, source: Path, endpoint: str) -> dict[str, float]:
    arguments = [stage, *map(str, (*astuple(case), source)), endpoint]
    command = [sys.executable, __file__, "--measure", *arguments]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return figures


def measure_case(case: Case, home: Path, endpoint: str) -> None:
    """Run the stages of a case, each in a process of its own; report their figures."""
    source = home / f"{case.name}.parquet"
    write_source(case, source)
    run = open_run(config_of(case, source, endpoint, f"{case.name}/{case.name}"), SystemClock())
    steps: dict[str, Callable[[Run, Case], None]] = {
        "collect": write_output,
        "fallback": leave_unanswered,
    }
    for stage in STAGES:
        if stage in steps:
            steps[stage](run, case)
        figures = in_child(stage, case, source, endpoint)
        detail = {**asdict(case), "shard_megabytes": round(case.shard_megabytes)}
        detail |= {f"{name}_megabytes": round(value) for name, value in figures.items()}
        report(f"memory_{stage}_worker", figures["worker"], "MB", goal(stage), "lower", **detail)
    source.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=list(MEGABYTES))
    parser.add_argument("--measure", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_local_credentials()
    if arguments.measure:
        stage, *numbers, source, endpoint = arguments.measure
        case = Case(*map(int, numbers))
        figures = measure(stage, case, Path(source), endpoint)
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name, LocalBedrock() as local:
        local.client("s3").create_bucket(Bucket=BUCKET)
        for case in cases(arguments.megabytes):
            measure_case(case, Path(name), local.endpoint_url)


if __name__ == "__main__":
    main()
