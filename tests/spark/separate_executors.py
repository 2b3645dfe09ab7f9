"""Prepare on executors that are processes of their own, with and without the driver's disk.

    python -m tests.spark.separate_executors FOLDER

Prints one JSON object: what became of a folder that all see, and of one that only the driver sees,
and what `doctor` says of the executors.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from bedrock_spark import Pipeline
from bedrock_spark.doctor.machines import executor_findings
from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.spark.examine import executors_of, this_machine
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import make_config


class OnOwnDisk(LocalStorage):
    """A folder that every process but the driver has on a disk of its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        return LocalStorage, (f"{self.uri}-elsewhere",)


def diagnosed(spark: SparkSession) -> list[list[str]]:
    """Return what doctor says of executors: with this Python, and with one without packages."""
    bare = str(Path(sys.base_prefix, "bin", "python3"))
    found = []
    for program in (spark.sparkContext.pythonExec, bare):
        spark.sparkContext.pythonExec = program
        before = time.time()
        executors = executors_of(spark)
        lines = executor_findings(this_machine(), executors, before, time.time())
        found.append([f"{line.level}: {line.what} -> {line.fix}" for line in lines])
    return found


def main(folder: str) -> None:
    """Prepare a small table in three ways."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("bedrock_spark").addHandler(handler)
    spark = (
        SparkSession.builder.master("local-cluster[2,1,900]")
        .config("spark.executor.memory", "900m")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    rows = spark.createDataFrame([(i, f"ticket {i}") for i in range(60)], "id int, body string")
    shared = Pipeline.open(make_config(str(Path(folder, "shared"))))
    seen: dict[str, Any] = {"records": shared.prepare(spark, rows).records, "lines": lines}
    config = make_config(str(Path(folder, "own")))
    apart = Pipeline.open(config)
    apart.run = replace(apart.run, storage=OnOwnDisk(config.run_uri))
    try:
        apart.prepare(spark, rows)
    except BedrockSparkError as exc:
        seen["probe"] = [type(exc).__name__, str(exc)]
    # As if an executor had come after the probe.
    try:
        prepare(spark, apart.run, rows)
    except BedrockSparkError as exc:
        seen["commit"] = [type(exc).__name__, str(exc)]
    seen["doctor"] = diagnosed(spark)
    sys.stdout.write(f"{json.dumps(seen)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
