"""The Spark session of the benchmarks: two cores as a rule, and the interpreter that runs them."""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession


def bench_session(memory: str = "4g", cores: int = 2) -> SparkSession:
    """Return a session that runs so many tasks at once."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", memory)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark
