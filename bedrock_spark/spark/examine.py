"""Look at the machines of a Spark session: what is installed there, their clocks and their disks.

An executor may lack this package, so what is sent to it must not need it: a function inside of
another one is pickled by value, and imports only Python's own modules.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.errors import stage_errors
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.source import reading
from bedrock_spark.spark.prepare.table import SourceTable, open_table
from bedrock_spark.spark.probe import count_executors
from bedrock_spark.spark.tasks import classic_context

# The modules that an executor imports, and the package of each.
MODULES = {
    "bedrock_spark": "bedrock-spark",
    "boto3": "boto3",
    "click": "click",
    "jinja2": "jinja2",
    "jsonschema_rs": "jsonschema-rs",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "rich": "rich",
    "tenacity": "tenacity",
    "xxhash": "xxhash",
    "yaml": "pyyaml",
}
# A busy executor may get no task of the first ones.
_TASKS_EACH, _MOST_TASKS = 3, 64
_TASKS_IF_UNKNOWN = 8
_SAMPLE_ROWS = 10_000


@dataclass(frozen=True)
class Machine:
    """What one machine has.

    python: its version; packages: versions of those that are there, "" if unknown
    free: folders of local files, one on each disk, with their free bytes
    now: its time in seconds since the epoch
    """

    host: str
    python: str
    packages: dict[str, str]
    free: tuple[tuple[str, int], ...]
    now: float


@dataclass(frozen=True)
class SparkVersions:
    """The versions of Spark, of PySpark on the driver, and of Java."""

    spark: str
    pyspark: str
    java: str | None


@dataclass(frozen=True)
class KeySample:
    """The keys of some rows. repeated: rows whose key an earlier one has; nulls: without a key."""

    rows: int
    repeated: int
    nulls: int


def this_machine() -> Machine:
    """Return what the driver has."""
    return _machine(_looker(MODULES)(0))


def executors_of(spark: SparkSession) -> list[Machine]:
    """Return what the executors have, each host once. Runs one Spark action of a few tasks.

    Raises SparkFailedError if tasks cannot start there, as with another version of Python.
    """
    tasks = min((count_executors(spark) or _TASKS_IF_UNKNOWN) * _TASKS_EACH, _MOST_TASKS)
    look, context = _looker(MODULES), classic_context(spark)
    with stage_errors("doctor"):
        if context is not None:
            found = context.parallelize(range(tasks), tasks).map(look).collect()
        else:
            numbered = spark.createDataFrame([(i,) for i in range(tasks)], "task int")
            by_task = numbered.repartitionByRange(tasks, "task")
            rows = by_task.mapInArrow(_by_batch(look), "found binary").collect()
            found = [bytes(row[0]).decode() for row in rows]
    machines = {machine.host: machine for machine in map(_machine, found)}
    return [machines[host] for host in sorted(machines)]


def versions_of(spark: SparkSession) -> SparkVersions:
    """Return the versions of a session. Over Spark Connect Java's is not known."""
    context = classic_context(spark)
    java = None
    if context is not None:
        java = str(context._jvm.System.getProperty("java.version"))
    return SparkVersions(spark.version, pyspark.__version__, java)


def local_folders(spark: SparkSession) -> list[tuple[str, int]]:
    """Return the folders of `spark.local.dir` on this machine, each with its free bytes.

    A folder that does not exist yet is made on the disk of the nearest one above it.
    """
    context = classic_context(spark)
    named = "" if context is None else context.getConf().get("spark.local.dir", "")
    folders = [Path(name) for name in named.split(",") if name]
    on_disk = [next(p for p in (f, *f.parents) if p.is_dir()) for f in folders if f.is_absolute()]
    return [(str(folder), shutil.disk_usage(folder).free) for folder in on_disk]


def read_sample(spark: SparkSession, run: Run) -> tuple[int, KeySample | None]:
    """Read columns and first rows as prepare does; return the number of columns, and the keys.

    None in place of the keys if the config names no key. Two small Spark actions run. Raises
    ConfigError and SourceError for what prepare refuses.
    """
    config = run.config
    with reading(config.source):
        table = open_table(spark, config, aws=run.aws)
        refuse_sample(table.needed, table.template.columns, config, run.aws)
        columns = len(table.columns.needed)
        if config.source.key:
            return columns, _keys(table)
        rows = table.needed.limit(1).count()
        return columns, None if rows else KeySample(0, 0, 0)


def kept_columns(spark: SparkSession, run: Run) -> str:
    """Return the columns that are kept for the results, in Spark DDL. Raises ConfigError."""
    with reading(run.config.source):
        return open_table(spark, run.config, aws=run.aws).kept


def _keys(table: SourceTable) -> KeySample:
    columns = [column_of(name) for name in table.columns.key]
    is_null = F.lit(True)
    for column in columns:
        is_null = is_null & column.isNull()
    keys = table.needed.select(*columns, is_null.alias("is_null")).limit(_SAMPLE_ROWS)
    counted = keys.groupBy(*keys.columns).agg(F.count(F.lit(1)).alias("rows"))
    is_none = F.col("is_null").cast("long")
    found = counted.agg(
        F.sum("rows").alias("rows"),
        F.sum((F.col("rows") - 1) * (1 - is_none)).alias("repeated"),
        F.sum(F.col("rows") * is_none).alias("nulls"),
    ).first()
    values = found.asDict() if found is not None else {}
    return KeySample(*(int(values.get(name) or 0) for name in ("rows", "repeated", "nulls")))


def _machine(found: str) -> Machine:
    values = json.loads(found)
    free = tuple((str(folder), int(free)) for folder, free in values.pop("free"))
    return Machine(free=free, **values)


def _looker(modules: dict[str, str]) -> Callable[[int], str]:
    """Return a function that looks at the machine where it runs; it returns JSON."""

    def look(_unit: int) -> str:
        import importlib.metadata
        import importlib.util
        import json
        import os
        import pathlib
        import platform
        import shutil
        import socket
        import time

        def version(package: str) -> str:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return ""  # in a zip, or in a bare clone

        named = (os.environ.get(v, "") for v in ("SPARK_LOCAL_DIRS", "LOCAL_DIRS"))
        folders = [part for text in named for part in text.split(",") if part]
        folders.append(os.environ.get("TMPDIR") or "/tmp")
        paths = sorted({pathlib.Path(folder).resolve() for folder in folders})
        disks = {path.stat().st_dev: str(path) for path in reversed(paths) if path.is_dir()}
        found = {
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "packages": {
                package: version(package)
                for module, package in modules.items()
                if importlib.util.find_spec(module) is not None
            },
            "free": [(path, shutil.disk_usage(path).free) for path in sorted(disks.values())],
            "now": time.time(),
        }
        return json.dumps(found)

    return look


def _by_batch(look: Callable[[int], str]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return `look` for Spark Connect, which hands over batches of rows."""

    def look_at(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            found = [look(0).encode() for _ in range(batch.num_rows)]
            schema = pa.schema([("found", pa.binary())])
            yield pa.RecordBatch.from_pydict({"found": found}, schema)

    return look_at
