"""The Spark session of the benchmarks: two cores by default, and workers of this interpreter.

It has the settings of the session that the command line starts on one machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from bedrock_spark.spark.local.one_machine import one_machine_settings, own_java_options


@contextmanager
def bench_session(memory: str = "4g", cores: int = 2) -> Iterator[SparkSession]:
    """Provide a session that runs `cores` tasks at once; stop it after the block."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    master = f"local[{cores}]"
    spark = (
        SparkSession.builder.master(master)
        .config(map=one_machine_settings(master))
        .config("spark.driver.defaultJavaOptions", " ".join(own_java_options(())))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", memory)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()
