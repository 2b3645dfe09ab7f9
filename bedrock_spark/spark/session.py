"""The Spark session of the command line: that of spark-submit if there is one, else a local one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bedrock_spark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_QUIET = Path(__file__).with_name("log4j2.properties")


def spark_session() -> SparkSession:
    """Return the session. Raises ConfigError where there is no Spark or no Java."""
    try:
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise ConfigError(
            'Spark is not installed here: pip install "bedrock-spark[spark]", or run this with '
            "the spark-submit of a cluster"
        ) from exc
    builder = SparkSession.builder.appName("bedrock-spark")
    if _is_submitted():
        return builder.getOrCreate()
    # Executors of a local run use this interpreter; without this they start the system's python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = (
        builder.config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile=file:{_QUIET}")
    )
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as exc:
        raise ConfigError(
            "Spark could not start its Java process: install Java 17 or newer and set JAVA_HOME"
        ) from exc


def _is_submitted() -> bool:
    """Tell whether spark-submit started this process: it has made the JVM already."""
    return "PYSPARK_GATEWAY_PORT" in os.environ
