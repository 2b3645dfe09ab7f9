"""Control a run up to a point, and die there by SIGKILL, as if the machine had failed.

    python -m tests.e2e.killed_controller CONFIG.json POINT

POINT is after:STAGE or CALL:WHEN:N. CALL is create (a batch job) or append (to the ledger), WHEN is
before or after, and N counts the calls from 1.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.fallback.rounds import open_fallback
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.ledger import Ledger


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(owner: type, name: str, when: str, number: int) -> None:
    """Patch a method so that this process dies before or after call number `number`."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def call_or_die(self: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == number:
            die()
        result = original(self, *args)
        if when == "after" and calls == number:
            die()
        return result

    setattr(owner, name, call_or_die)


def main(config_path: str, point: str) -> None:
    pipeline = Pipeline.open(json.loads(Path(config_path).read_text()))
    if not point.startswith("after:"):
        call, when, number = point.split(":")
        owner: type = BatchJobs if call == "create" else Ledger
        die_at(owner, call, when, int(number))
        pipeline.watch()
        return
    last_stage = point.removeprefix("after:")
    if last_stage == "watch":
        pipeline.watch()
        die()
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    )
    if last_stage == "prepare":
        pipeline.prepare(spark)
        die()
    reconciled = pipeline.collect(spark)
    if last_stage == "fallback":
        run, manifest = pipeline.run, pipeline.manifest()
        # Not Pipeline.fall_back: it also collects, and this process must die before that.
        with open_fallback(run, manifest, pipeline.clock, pipeline.observe) as fallback:
            fallback.ask(spark, reconciled)
    die()


if __name__ == "__main__":
    main(*sys.argv[1:])
