"""Measure what the latency of a store costs each stage: with 30 ms a call, and without.

    python bench/latency.py [--records 100000] [--rounds 5] [--trace]

One shard is prepared, collected and asked by the fallback, with the run folder in a local Bedrock's
S3. Its fault script adds the latency to every call of S3. Rounds with and without it alternate. The
figure of a stage is the ratio of the medians; the calls of S3 and all seconds are in the detail.

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

RECORDS, LINE_BYTES = 100_000, 1_000
WARM_UP_RECORDS = 2_000
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
        run = self.run()
        measured = {}
        for stage in STAGES:
            if stage == "collect":
                write_output(run, self._case)
            elif stage == "fallback":
                leave_unanswered(run, self._case)
            self._local.set_faults(faults(milliseconds))
            before = self._calls()
            taken = seconds(lambda stage=stage: STAGES[stage](self._spark, self.run()))
            measured[stage] = taken, self._calls() - before
            self._local.set_faults({})
        return measured

    def trace(self, milliseconds: float, notes: Path) -> None:
        """Run the stages once with a latency; print every call to the store of each."""
        self._empty()
        run = self.run()
        opened = run_module.open_storage
        for stage in STAGES:
            if stage == "collect":
                write_output(run, self._case)
            elif stage == "fallback":
                leave_unanswered(run, self._case)
            notes.unlink(missing_ok=True)
            run_module.open_storage = lambda uri, aws: noted(opened(uri, aws), notes)
            self._local.set_faults(faults(milliseconds))
            try:
                STAGES[stage](self._spark, self.run())
            finally:
                self._local.set_faults({})
                run_module.open_storage = opened
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    use_local_credentials()
    with (
        tempfile.TemporaryDirectory(prefix="bench-latency-") as name,
        LocalBedrock() as local,
        bench_session() as spark,
    ):
        local.client("s3").create_bucket(Bucket=BUCKET)
        made = []
        for records in (WARM_UP_RECORDS, arguments.records):
            case, source = Case(records, LINE_BYTES), Path(name) / f"{records}.parquet"
            write_source(case, source)
            made.append(Timed(spark, local, case, source))
        warm_up, timed = made
        warm_up.round(0)
        if arguments.trace:
            cloudpickle.register_pickle_by_value(store_calls)  # the workers do not find `common`
            timed.trace(MILLISECONDS, Path(name) / "calls")
            return
        rounds = []
        for number in range(arguments.rounds):
            order = (0, MILLISECONDS) if number % 2 == 0 else (MILLISECONDS, 0)
            pair = {milliseconds: timed.round(milliseconds) for milliseconds in order}
            rounds.append((pair[0], pair[MILLISECONDS]))
        for stage in STAGES:
            without, slow = (
                [each[stage][0] for each in side] for side in zip(*rounds, strict=True)
            )
            report(
                f"latency_{stage}",
                statistics.median(slow) / statistics.median(without),
                "ratio",
                GOAL,
                "lower",
                records=arguments.records,
                milliseconds=MILLISECONDS,
                s3_calls=rounds[-1][1][stage][1],
                seconds_without=[round(s, 2) for s in without],
                seconds_with=[round(s, 2) for s in slow],
            )
        read_some(timed.run(), local)


if __name__ == "__main__":
    main()
