"""Prepare the fixed input in Spark sessions of another process, and kill that process at the end.

    python -m tests.spark.other_sessions FOLDER

Four runs, one after the other: one core; four cores; four cores with tasks that fail and workers
that die on their first attempt; and a run whose driver and JVM are killed after some shards.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from pyspark import TaskContext
from pyspark.sql import SparkSession

from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.spark.fixed_input import expected_shards, fixed_input, open_fixed_run

KILLED_AFTER_SHARDS = 5


def session(master: str) -> SparkSession:
    return (
        SparkSession.builder.master(master)
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.session.timeZone", "America/New_York")
        .getOrCreate()
    )


class DiesOnFirstTry(LocalStorage):
    """Writes half a file on a task's first attempt, then raises an error or kills the worker."""

    def upload(self, path: Path, key: str) -> None:
        """Fail at the lines of some shards, after their rows and the shards before are uploaded."""
        context = TaskContext.get()
        cut = key.removesuffix(".jsonl")[-2:]
        is_chosen = key.endswith(".jsonl") and cut in ("02", "03")
        if is_chosen and context is not None and context.attemptNumber() == 0:
            self.write(
                f"{Path(key).parent}/.writing-{cut}", path.read_bytes()[: path.stat().st_size // 2]
            )
            self.write(f"died/{Path(key).stem}", b"")
            if context.partitionId() % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("the disk is full")
        super().upload(path, key)


class KillsTheDriver(LocalStorage):
    """Kills JVM, driver and workers once KILLED_AFTER_SHARDS of the expected shards are written."""

    def __init__(self, uri: str, pids: tuple[int, ...]) -> None:
        super().__init__(uri)
        self.pids = pids

    def upload(self, path: Path, key: str) -> None:
        """Upload a file; or write half of it, and kill all processes."""
        written = {Path(o.key).name for o in self.list("shards/")}
        final = {f"{shard[0]}.jsonl" for shard in expected_shards()}
        if len(written & final) >= KILLED_AFTER_SHARDS:
            self.write(
                f"{Path(key).parent}/.writing-half", path.read_bytes()[: path.stat().st_size // 2]
            )
            for pid in self.pids:
                os.kill(pid, signal.SIGKILL)
            # A machine that dies takes all workers with it. They have a process group of their own.
            os.killpg(os.getpgrp(), signal.SIGKILL)
        super().upload(path, key)


def main(folder: str) -> None:
    for master, name in (("local[1]", "one"), ("local[4,4]", "four")):
        spark = session(master)
        prepare(spark, open_fixed_run(Path(folder, name)), fixed_input(spark))
        if name == "one":
            spark.stop()
    run = open_fixed_run(Path(folder, "failing"))
    failing = replace(run, storage=DiesOnFirstTry(run.config.run_uri))
    prepare(spark, failing, fixed_input(spark))
    run = open_fixed_run(Path(folder, "killed"))
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    pids = (gateway.proc.pid, os.getpid())
    prepare(
        spark, replace(run, storage=KillsTheDriver(run.config.run_uri, pids)), fixed_input(spark)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
