"""Measure what the latency of a store costs each stage: with 30 ms a call, and without.

    python bench/latency.py [--records 100000] [--line-bytes 1000 2000] [--rounds 7] [--trace]

One shard is prepared, collected and asked by the fallback, with the run folder in a local Bedrock's
S3. Its fault script adds the latency to every call of S3. Rounds with and without it alternate,
after one that does not count. The figure of a stage is the ratio of the medians, for each size of a
line; the calls of S3 and all seconds are in the detail. The run is open when a stage begins, as in
`bedrock-spark run`, which opens it once for all stages. To open it is a figure of its own.

With --trace there is one round with the latency, and a line for each request to S3: when it
began, how long it took, process, thread, operation and key. Stars mark the longest row of requests
that began one after another: each of these costs a stage the latency once more.

Else records of the shard are read by its index, with the latency and with several values of the gap
up to which two records are read with one call.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import store_calls
from common.figures import report
from common.local_bedrock import use_local_credentials
from common.one_shard import (
    BUCKET,
    STAGES,
    Case,
    config_of,
    leave_unanswered,
    write_output,
    write_source,
)
from common.prepared import seconds
from common.spark_session import bench_session
from common.store_calls import noted, read_calls, show_calls
from pyspark import cloudpickle
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder import run as run_module
from bedrock_spark.run_folder import shard_records
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.run_folder.shard_records import all_records, lines_of, read_records
from bedrock_spark.storage import Storage

RECORDS, LINE_BYTES, ROUNDS = 100_000, (1_000, 2_000), 7
MILLISECONDS = 30
GOAL = 1.1
# Records that are read by the index, and the bytes between two of them that are read, too.
SOME, GAPS = (10, 400, 4_000), (32_000, 128_000, 512_000)
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


def faults(milliseconds: float) -> dict[str, Any]:
    """Return a script that adds latency to every call of S3."""
    slow = {"latency": {"median_ms": milliseconds}}
    return {"operations": {f"s3:{method}": slow for method in METHODS}}


class Timed:
    """The stages of one case, run in a session against a local Bedrock."""

    def __init__(self, spark: SparkSession, local: LocalBedrock, case: Case, source: Path) -> None:
        self._spark = spark
        self._local = local
        self._case = case
        self._source = source

    def round(self, milliseconds: float) -> dict[str, tuple[float, int]]:
        """Run the stages with a latency; return the seconds and the calls of S3 of each."""
        self._empty()
        measured = {}
        for stage, work in STAGES.items():
            run = self._ready_for(stage)
            measured[stage] = self._measured(partial(work, self._spark, run), milliseconds)
        measured["open_run"] = self._measured(self.run, milliseconds)
        return measured

    def _measured(self, work: Callable[[], object], milliseconds: float) -> tuple[float, int]:
        self._local.set_faults(faults(milliseconds))
        before = self._calls()
        taken = seconds(work)
        calls = self._calls() - before
        self._local.set_faults({})
        return taken, calls

    def _ready_for(self, stage: str) -> Run:
        """Do what a stage finds done; return the run, opened after it."""
        if stage == "collect":
            write_output(self.run(), self._case)
        elif stage == "fallback":
            leave_unanswered(self.run(), self._case)
        return self.run()

    def trace(self, milliseconds: float, notes: Path) -> None:
        """Run the stages once with a latency; print every call to the store of each."""
        self._empty()
        opened = run_module.open_storage
        for stage, work in STAGES.items():
            self._ready_for(stage)
            run_module.open_storage = lambda uri, aws: noted(opened(uri, aws), notes)
            run = self.run()
            run_module.open_storage = opened
            notes.unlink(missing_ok=True)
            self._measured(partial(work, self._spark, run), milliseconds)
            for line in show_calls(stage, read_calls(notes)):
                print(line)  # noqa: T201 - for whoever asked for it

    def run(self) -> Run:
        config = config_of(self._case, self._source, self._local.endpoint_url)
        return open_run(config, SystemClock())

    def _calls(self) -> int:
        return sum(n for name, n in self._local.requests().items() if name.startswith("s3:"))

    def _empty(self) -> None:
        run = self.run()
        run.storage.delete([stored.key for stored in run.storage.list("")])


def read_some(run: Run, local: LocalBedrock) -> None:
    """Report the seconds, calls and bytes of reading some records of the shard, by gap."""
    (shard,) = (manifest := require_manifest(run.storage)).shards
    lines = lines_of(shard.shard_id, manifest.prepare_id)
    ids = [record.recordId for record in all_records(run.storage, lines)]
    local.set_faults(faults(MILLISECONDS))
    for count in SOME:
        wanted = random.Random(count).sample(ids, count)
        for gap in GAPS:
            shard_records.MAX_GAP = gap  # type: ignore[misc]
            calls = Calls(run.storage)
            some = read_records(calls, shard.shard_id, manifest.prepare_id, wanted)  # type: ignore[arg-type]
            taken = seconds(lambda some=some: deque(some, 0))
            report(
                f"latency_read_{count}_records_gap_{gap // 1000}_kb",
                taken,
                "s",
                None,
                "lower",
                calls=calls.calls,
                share_of_bytes=round(calls.bytes / shard.bytes, 4),
            )
    local.set_faults({})


class Calls:
    """A storage that counts the reads, and the bytes that they return."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.calls = self.bytes = 0

    def read_if_present(self, key: str) -> bytes | None:
        return self._count(self._storage.read_if_present(key))

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        return self._count(self._storage.read_range(key, start, stop)) or b""

    def _count(self, data: bytes | None) -> bytes | None:
        self.calls += 1
        self.bytes += len(data or b"")
        return data


def measure(timed: Timed, line_bytes: int, rounds: int) -> None:
    """Report the ratio of each stage, and what it takes to open a run."""
    timed.round(0)
    pairs = []
    for number in range(rounds):
        order = (0, MILLISECONDS) if number % 2 == 0 else (MILLISECONDS, 0)
        pair = {milliseconds: timed.round(milliseconds) for milliseconds in order}
        pairs.append((pair[0], pair[MILLISECONDS]))
    for stage in pairs[0][0]:
        without, slow = ([each[stage][0] for each in side] for side in zip(*pairs, strict=True))
        base, value = statistics.median(without), statistics.median(slow)
        is_stage = stage in STAGES
        report(
            f"latency_{stage}_{line_bytes}_bytes",
            value / base if is_stage else value - base,
            "ratio" if is_stage else "s",
            GOAL if is_stage else None,
            "lower",
            milliseconds=MILLISECONDS,
            s3_calls=pairs[-1][1][stage][1],
            seconds_lost=round(value - base, 3),
            seconds_without=[round(s, 2) for s in without],
            seconds_with=[round(s, 2) for s in slow],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--line-bytes", type=int, nargs="+", default=LINE_BYTES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    use_local_credentials()
    with (
        tempfile.TemporaryDirectory(prefix="bench-latency-") as name,
        LocalBedrock() as local,
        bench_session() as spark,
    ):
        local.client("s3").create_bucket(Bucket=BUCKET)
        if arguments.trace:
            cloudpickle.register_pickle_by_value(store_calls)  # the workers do not find `common`
        for line_bytes in arguments.line_bytes:
            case, source = Case(arguments.records, line_bytes), Path(name) / f"{line_bytes}.parquet"
            write_source(case, source)
            timed = Timed(spark, local, case, source)
            if arguments.trace:
                timed.round(0)
                timed.trace(MILLISECONDS, Path(name) / "calls")
            else:
                measure(timed, line_bytes, arguments.rounds)
        if not arguments.trace:
            read_some(timed.run(), local)


if __name__ == "__main__":
    main()
