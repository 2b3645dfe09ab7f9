"""Notice that the source of a run has changed since prepare, without reading a row.

The state of a source is what Spark knows of it before it reads: the path, size and modification
time of each file of the query plan, the version of a Delta table, the snapshot of an Iceberg table,
a digest of the results of another run.
Of other sources (a database, rows in memory, SQL over text files) nothing is known, and nothing is
compared. The same is true over Spark Connect, whose client does not see the plan.

A change never stops a run: its records are in the run folder. But whoever added rows to the source
and runs the command again must hear that these rows are not asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import SourceConfig
from bedrock_spark.config.formats import LAKE
from bedrock_spark.config.secrets import resolve_options
from bedrock_spark.errors import ConfigError, RunFolderError, StorageError
from bedrock_spark.run_folder.manifest import SourceState
from bedrock_spark.spark.source_run import look_at_rows

# A query over files of text infers their columns, for which Spark reads them all.
_INFERRING = re.compile(r"\b(json|csv|xml|text)\s*\.\s*`", re.IGNORECASE)
# With columns of its own, a reader infers none.
_ANY_COLUMNS = "_bs_any string"
# Hadoop's FileStatus as text. Its other members change without the file: the access time, say.
_STATUS = re.compile(r"path=(.*?); isDirectory=false; length=(\d+);.*?modification_time=(\d+)")


def state_of(
    spark: SparkSession,
    source: SourceConfig,
    df: DataFrame | None = None,
    aws: AwsSettings | None = None,
) -> SourceState | None:
    """Return the state of `df`, or of the config's source; None if it is not known.

    aws: by which the folder of another run is read
    Lists files, and runs no other Spark action.
    """
    if df is None and source.run is not None:
        return _state_of_run(source, aws or AwsSettings())
    try:
        table = df if df is not None else _unread(spark, source)
        plan = table._jdf.queryExecution().analyzed() if table is not None else None
        found = _Found()
        for leaf in _leaves(plan):
            _look_at(spark, leaf, found)
    except (PySparkException, Py4JError, AttributeError, TypeError, ConfigError):
        return None  # the state is only a help: another step says what is wrong with a source
    return found.state(is_handed_in=df is not None)


def _state_of_run(source: SourceConfig, aws: AwsSettings) -> SourceState | None:
    try:
        return look_at_rows(source, aws).state
    except (RunFolderError, ConfigError, StorageError):
        return None  # as below


@dataclass
class _Found:
    """What was found of a source so far: its files, and the versions of its tables."""

    files: list[tuple[str, int, int]] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    is_known: bool = False

    def state(self, *, is_handed_in: bool) -> SourceState | None:
        if not self.is_known:
            return None
        parts = json.dumps([sorted(self.files), sorted(self.versions)])
        return SourceState(
            digest=hashlib.sha256(parts.encode()).hexdigest(),
            files=len(self.files),
            bytes=sum(size for _, size, _ in self.files),
            versions=tuple(sorted(self.versions)),
            is_handed_in=is_handed_in,
        )


def _unread(spark: SparkSession, source: SourceConfig) -> DataFrame | None:
    """Return the source as a DataFrame whose columns are not inferred; None if that cannot be."""
    if source.sql is not None:
        return None if _INFERRING.search(source.sql) else spark.sql(source.sql)
    if source.table is not None:
        return spark.table(source.table)
    if source.path is None or source.format is None:
        return None
    options = resolve_options(source.options, os.environ)
    reader = spark.read.format(source.format).options(**options)
    # A format that knows its version needs no schema, and ours would not fit it.
    if source.format.lower() not in LAKE:
        reader = reader.schema(_ANY_COLUMNS)
    return reader.load(source.path)


def _leaves(plan: Any) -> Iterator[Any]:
    if plan is not None:
        leaves = plan.collectLeaves()
        yield from (leaves.apply(i) for i in range(leaves.size()))


def _look_at(spark: SparkSession, leaf: Any, found: _Found) -> None:
    """Add the files or the version of one source of a query plan."""
    kind = leaf.getClass().getSimpleName()
    if kind == "LogicalRelation":
        location = leaf.relation().location()
        version = _first_of(location, "tableVersion", "version")
        if version is not None:
            found.versions.append(str(version))
        else:
            found.files += _files_of(spark, location)
        found.is_known = True
    elif kind == "DataSourceV2Relation":
        table = leaf.table()
        snapshot = _first_of(table, "snapshotId")
        if snapshot is None:
            current = table.table().currentSnapshot()  # of an Iceberg table; null if it is empty
            snapshot = current.snapshotId() if current is not None else "none"
        found.versions.append(str(snapshot))
        found.is_known = True


def _files_of(spark: SparkSession, location: Any) -> list[tuple[str, int, int]]:
    """Return path, size and modification time of files, in one call: there may be many."""
    if location.getClass().getSimpleName() == "CatalogFileIndex":  # the catalog has the partitions
        jvm: Any = spark._jvm
        no_filter = getattr(getattr(jvm.scala.collection.immutable, "Nil$"), "MODULE$")
        location = location.filterPartitions(no_filter)
    statuses = str(location.allFiles().mkString("\n"))
    return [(m[1], int(m[2]), int(m[3])) for m in _STATUS.finditer(statuses)]


def _first_of(java: Any, *methods: str) -> Any:
    """Return what the first of these methods that exists returns; None if none does."""
    for name in methods:
        try:
            value = getattr(java, name)()
        except Py4JError:
            continue
        if value is not None:
            return value
    return None
