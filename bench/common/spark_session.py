"""The Spark session of the benchmarks: two cores as a rule, and the interpreter that runs them.

Files are read in several partitions to a core. Spark packs small files into partitions of 128 MB,
and of three such partitions on two cores the third has one core for itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_PARTITIONS_PER_CORE = 4


@contextmanager
def bench_session(memory: str = "4g", cores: int = 2) -> Iterator[SparkSession]:
    """Give a session that runs so many tasks at once, and stop it."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", memory)
        .config("spark.sql.files.minPartitionNum", cores * _PARTITIONS_PER_CORE)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()
