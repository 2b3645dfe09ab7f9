"""The Spark session of the command line: the one of spark-submit, if it is used, or a local one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bedrock_spark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_LOG_CONFIG = Path(__file__).with_name("log4j2.properties")


def spark_session() -> SparkSession:
    """Return the session. Raises ConfigError if Spark or Java is missing."""
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
    # Workers of a local run must use this interpreter. By default Spark starts the system's one.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = (
        builder.config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile=file:{_LOG_CONFIG}")
    )
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as exc:
        raise ConfigError(
            "Spark could not start its Java process: install Java 17 or newer and set JAVA_HOME"
        ) from exc


def _is_submitted() -> bool:
    """Tell whether spark-submit started this process: then the JVM already runs."""
    return "PYSPARK_GATEWAY_PORT" in os.environ
