"""The source as prepare reads it: renamed, checked, with the columns that are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder.manifest import SourceState
from bedrock_spark.spark.prepare.column_types import check_types
from bedrock_spark.spark.prepare.columns import column_of, ddl_of
from bedrock_spark.spark.prepare.source import (
    SourceColumns,
    choose_columns,
    is_indexed,
    kept_on_disk,
    read_source,
    renamed,
)
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.spark.source_state import state_of
from bedrock_spark.templates.body_template import BodyTemplate


@dataclass(frozen=True)
class SourceTable:
    """The source of a run, of which no row is read yet.

    source: as it is; needed: the columns that prepare reads, with the names of `source.rename`
    kept: Spark DDL of the columns that are kept for the results
    is_cheap: whether it may be computed several times
    """

    source: DataFrame
    needed: DataFrame
    columns: SourceColumns
    template: BodyTemplate
    kept: str
    state: SourceState | None
    is_cheap: bool

    @contextmanager
    def read_once(self) -> Iterator[DataFrame]:
        """Provide the needed columns. Unless they are cheap, they are computed once."""
        level = self.source.storageLevel
        if self.is_cheap or level.useDisk or level.useMemory:
            yield self.needed
            return
        with kept_on_disk(self.needed) as kept:
            yield kept


def open_table(spark: SparkSession, config: Config, df: DataFrame | None = None) -> SourceTable:
    """Return the source of a config, or `df` as its source. Raises ConfigError and SourceError."""
    # Before the first row is read: what changes from now on is noticed later.
    state = state_of(spark, config.source, df)
    source = df if df is not None else read_source(spark, config.source)
    template = body_template(config)
    table = renamed(source, config.source)
    columns = choose_columns(table, config.source, template, is_handed_in=df is not None)
    refuse_clashes(columns.kept, config.results)
    check_types(table.schema, columns.needed, template)
    return SourceTable(
        source=source,
        needed=table.select(*map(column_of, columns.needed)),
        columns=columns,
        template=template,
        kept=ddl_of(table.select(*map(column_of, columns.kept)).schema),
        state=state,
        is_cheap=df is None and is_indexed(spark, config.source),
    )
