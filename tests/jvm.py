"""How the JVMs of tests are started, which are many and live for seconds.

    python -m tests.jvm     writes the archive of Spark's classes, if there is none

A JVM that finds its classes in an archive needs a third less CPU to start and for its first
queries. The archive is in the virtual environment. It is of one Java and one Spark, and without it
all works as with it. https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_VARIABLE = "SPARK_SUBMIT_OPTS"
# The C2 compiler and the parallel garbage collector would cost more time than they save.
_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_SECONDS = 300


def java_options() -> str:
    """Return the options of Java for tests."""
    file = _archive()
    # Without log: it warns on standard output if the class path is not the one of the archive.
    return f"{_OPTIONS} -XX:SharedArchiveFile={file} -Xlog:disable" if file.exists() else _OPTIONS


def _archive() -> Path:
    """Return the path of the archive of this Java and this Spark."""
    release = Path(os.environ.get("JAVA_HOME", "/nonexistent"), "release")
    java = release.read_text() if release.exists() else ""
    spark = importlib.metadata.version("pyspark")
    digest = hashlib.sha256(f"{java} {spark} {sys.prefix}".encode()).hexdigest()
    # No spaces: Spark splits the options there.
    return Path(sys.prefix) / f"spark-classes-{digest[:16]}.jsa"


def main() -> None:
    """Run what runs often in tests, and let the JVM write its classes to the archive at its end."""
    file = _archive()
    if file.exists() or " " in str(file):
        return
    temporary = file.with_suffix(f".{os.getpid()}")
    os.environ[_VARIABLE] = f"{_OPTIONS} -XX:ArchiveClassesAtExit={temporary} -Xlog:disable"

    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        _use(spark, folder)
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(_SECONDS)
    if temporary.exists():  # a Java that cannot write archives has written none
        temporary.replace(file)


def _use(spark: SparkSession, folder: str) -> None:
    rows = spark.range(100).selectExpr("id", "concat('ticket ', id) AS body", "xxhash64(id) AS h")
    for name in ("parquet", "csv", "json"):
        rows.write.format(name).option("header", True).save(f"{folder}/{name}")
        spark.read.format(name).option("header", True).load(f"{folder}/{name}").count()
    table = spark.read.parquet(f"{folder}/parquet")
    asked = table.repartition(2, "h").sortWithinPartitions("h").mapInArrow(_copy, table.schema)
    asked.groupBy("body").agg({"id": "max"}).join(table, "body").orderBy("id").collect()
    spark.sparkContext.parallelize([1, 2], 2).mapPartitions(list).collect()
    spark.createDataFrame([(1, "a")], "id int, body string").collect()


def _copy(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


if __name__ == "__main__":
    main()
