"""Prepare the fixed input in Spark sessions of another process, and kill that process at the end.

    python -m tests.spark.other_sessions FOLDER

Four runs, one after the other: one core; four cores; four cores with tasks that fail and workers
that die on their first two attempts; and a run whose driver and JVM are killed after some shards.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from pyspark import TaskContext
from pyspark.sql import SparkSession

from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from bedrock_spark.storage.local import LocalWriter
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


class DyingWriter(LocalWriter):
    """Writes half of its bytes and calls `die`: at the first write, or at the commit, of all bytes.

    die: is given the name of the file that is half-written; does not return
    """

    def __init__(self, path: Path, moment: str, die: Callable[[str], NoReturn]) -> None:
        super().__init__(path)
        self._moment = moment
        self._die = die
        self._held = b""

    def write(self, data: bytes | memoryview) -> int:
        """Write half, and die; or hold the bytes until the commit."""
        self._held += data
        if self._moment == "write" and self._held:
            self._write_half()
        return len(data)

    def commit(self) -> None:
        """Write half, and die."""
        self._write_half()

    def _write_half(self) -> NoReturn:
        super().write(self._held[: len(self._held) // 2])
        self._file.flush()
        self._die(self._temporary.name)


class DiesTwice(LocalStorage):
    """Writes half of a shard's lines on a task's first two attempts, and notes below died/ how.

    The first attempt dies in the middle of the lines, the second at their commit: then the shard's
    rows are there, and its lines are not. One is an error, the other kills the worker; which one
    begins depends on the partition.
    """

    def writer(self, key: str, behind: int = 2) -> LocalWriter:
        """Begin an object; the lines of a task's third shard have a writer that dies."""
        context = TaskContext.get()
        is_chosen = key.startswith("shards/") and key.endswith("-02.jsonl")
        if not is_chosen or context is None or context.attemptNumber() > 1:
            return super().writer(key)
        attempt = context.attemptNumber()
        moment = ("write", "commit")[attempt]
        how = ("error", "killed")[(context.partitionId() + attempt) % 2]
        shard_id = Path(key).stem

        def die(temporary: str) -> NoReturn:
            objects = (o.key for folder in ("shards/", "rows/") for o in self.list(folder))
            visible = [key.split("/")[0] for key in objects if shard_id in key]
            death = {"shard": shard_id, "moment": moment, "how": how, "visible": visible}
            death["half"] = str(Path(key).with_name(temporary))
            self.write(f"died/{shard_id}/{attempt}", json.dumps(death).encode())
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("the disk is full")

        return DyingWriter(self.root / key, moment, die)


class KillsTheDriver(LocalStorage):
    """Kills JVM, driver and workers once KILLED_AFTER_SHARDS of the expected shards are there."""

    def __init__(self, uri: str, pids: tuple[int, ...]) -> None:
        super().__init__(uri)
        self.pids = pids

    def writer(self, key: str, behind: int = 2) -> LocalWriter:
        """Begin an object; or lines at whose commit, half-written, all processes are killed."""
        written = {Path(o.key).name for o in self.list("shards/")}
        final = {f"{shard[0]}.jsonl" for shard in expected_shards()}
        if key.startswith("shards/") and len(written & final) >= KILLED_AFTER_SHARDS:
            return DyingWriter(self.root / key, "commit", self.kill)
        return super().writer(key)

    def kill(self, temporary: str) -> NoReturn:
        """Note which file is half-written; kill all processes."""
        self.write(f"died/{os.getpid()}", temporary.encode())
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        # A machine that dies takes all workers with it. They have a process group of their own.
        os.killpg(os.getpgrp(), signal.SIGKILL)
        raise AssertionError("this process was killed")


def main(folder: str) -> None:
    for master, name in (("local[1]", "one"), ("local[4,4]", "four")):
        spark = session(master)
        prepare(spark, open_fixed_run(Path(folder, name)), fixed_input(spark))
        if name == "one":
            spark.stop()
    run = open_fixed_run(Path(folder, "failing"))
    failing = replace(run, storage=DiesTwice(run.config.run_uri))
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
