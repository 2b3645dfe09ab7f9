"""The Spark session of the benchmarks: two cores by default, and workers of this interpreter.

Files are read in several partitions per core. By default Spark packs files into partitions of
128 MB. If there are three of them on two cores, the third runs alone while a core is idle.
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
    """Provide a session that runs `cores` tasks at once; stop it after the block."""
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
