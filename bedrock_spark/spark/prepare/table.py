"""The source as prepare reads it: renamed, checked, with the columns that are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder.manifest import SourceState
from bedrock_spark.run_folder.source_run import DerivedFrom
from bedrock_spark.spark.prepare.column_types import check_types
from bedrock_spark.spark.prepare.columns import column_of, ddl_of
from bedrock_spark.spark.prepare.source import (
    choose_columns,
    is_indexed,
    kept_on_disk,
    read_source,
    renamed,
    wanted_rows,
)
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.spark.source_run import RowsOfRun, open_rows
from bedrock_spark.spark.source_state import state_of
from bedrock_spark.templates.body_template import BodyTemplate


@dataclass(frozen=True)
class SourceTable:
    """The source of a run, of which no row is read yet.

    source: as it is; full: its wanted rows with the names of `source.rename`
    needed: of these, the columns that prepare reads
    kept: Spark DDL of the columns that are kept for the results
    is_cheap: whether it may be computed several times
    derived_from: the run whose rows these are; None if it is another source
    """

    source: DataFrame
    full: DataFrame
    needed: DataFrame
    columns: SourceColumns
    template: BodyTemplate
    kept: str
    state: SourceState | None
    is_cheap: bool
    derived_from: DerivedFrom | None = None

    @contextmanager
    def read_once(self) -> Iterator[DataFrame]:
        """Provide the needed columns. Unless they are cheap, they are computed once."""
        level = self.source.storageLevel
        if self.is_cheap or level.useDisk or level.useMemory:
            yield self.needed
            return
        with kept_on_disk(self.needed) as kept:
            yield kept


def open_table(
    spark: SparkSession, config: Config, df: DataFrame | None = None, aws: AwsSettings | None = None
) -> SourceTable:
    """Return the source of a config, or `df` as its source. Raises ConfigError and SourceError.

    aws: by which the folder of another run is read
    """
    if df is None and config.source.run is not None:
        return _open_run(spark, config, open_rows(config.source, aws or AwsSettings()))
    # Before the first row is read: what changes from now on is noticed later.
    state = state_of(spark, config.source, df)
    source = df if df is not None else read_source(spark, config.source)
    table = _table(config, source, is_handed_in=df is not None)
    is_cheap = df is None and is_indexed(spark, config.source)
    return replace(table, state=state, is_cheap=is_cheap)


def _open_run(spark: SparkSession, config: Config, rows: RowsOfRun) -> SourceTable:
    """Return the rows of another run. Only the columns that prepare needs are read."""
    table = _table(config, rows.table(spark))
    needed = {*table.columns.needed, *_mentioned(table.full.columns, config.source.where)}
    names = [n for n in table.source.columns if config.source.rename.get(n, n) in needed]
    read = rows.table(spark, names)
    read = read.toDF(*(config.source.rename.get(name, name) for name in read.columns))
    selected = wanted_rows(read, config.source).select(*map(column_of, table.columns.needed))
    return replace(table, needed=selected, state=rows.state, derived_from=rows.lineage)


def _mentioned(names: Sequence[str], where: str | None) -> Iterator[str]:
    """Yield the columns that a condition may name: rather one too many than one too few."""
    text = (where or "").lower()
    yield from (name for name in names if name.lower() in text or "*" in text)


def _table(config: Config, source: DataFrame, *, is_handed_in: bool = False) -> SourceTable:
    template = body_template(config)
    full = wanted_rows(renamed(source, config.source), config.source)
    columns = choose_columns(full, config.source, template, is_handed_in=is_handed_in)
    refuse_clashes(columns.kept, config.results)
    check_types(full.schema, columns.needed, template)
    return SourceTable(
        source=source,
        full=full,
        needed=full.select(*map(column_of, columns.needed)),
        columns=columns,
        template=template,
        kept=ddl_of(full.select(*map(column_of, columns.kept)).schema),
        state=None,
        is_cheap=False,
    )
