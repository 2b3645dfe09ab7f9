"""A Spark application that writes where its tasks run: python where.py OUTPUT FOLDER..."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pyspark import BarrierTaskContext
from pyspark.sql import SparkSession


def look(folders: list[str]) -> dict[str, object]:
    """Return what a process sees. Of the folders, those that are there and not empty."""
    spec = find_spec("bedrock_spark")
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "package": spec.origin if spec is not None else None,
        "variables": sorted(os.environ),
        "folders": [f for f in folders if Path(f).exists() and any(Path(f).iterdir())],
    }


def main(output: str, folders: list[str]) -> None:
    """Look from two tasks at once, which are on two hosts, and from the driver."""
    spark = SparkSession.builder.getOrCreate()

    def task(_: Iterator[int]) -> Iterator[dict[str, object]]:
        BarrierTaskContext.get().barrier()
        yield look(folders)

    tasks = spark.sparkContext.parallelize(range(2), 2).barrier().mapPartitions(task).collect()
    Path(output).write_text(json.dumps({"driver": look(folders), "tasks": tasks}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
