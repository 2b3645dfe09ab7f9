"""The Spark session of the benchmarks: two cores, and the interpreter that runs them."""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession


def bench_session(memory: str = "4g") -> SparkSession:
    """Return a session on two cores."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", memory)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark
