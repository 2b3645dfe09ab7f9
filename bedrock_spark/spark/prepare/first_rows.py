"""Render the first rows of a source as prepare does, and write nothing.

The rows come to the Spark driver: there are few. They are rendered by a Python worker, from Arrow
batches as in prepare, so every type of column becomes the same JSON.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, SourceConfig
from bedrock_spark.config.row_choice import MOST_SAMPLED, KeySearch, RowChoice
from bedrock_spark.errors import ConfigError, PlanError
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.schema import INTERNAL_PREFIX
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.errors import config_errors
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.map_order import table_of, with_entries
from bedrock_spark.spark.prepare.row_rendering import RenderedRow, RenderRows, read_rendered
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.size_estimate import estimate_size, with_object_sizes
from bedrock_spark.spark.prepare.source import (
    read_source,
    reading,
    renamed,
    wanted_rows,
)
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.table import SourceTable, open_table

# Of the rows that are searched by key; no column of a source has such a name.
_ROW, _KEYS = "row", f"{INTERNAL_PREFIX}keys"
_RENDERED = "line binary, reason string, row_values string"


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a source, all columns. Each config renders them in its own way.

    config: its source was read; rows: with maps as their entries, see `map_order`
    """

    spark: SparkSession
    config: Config
    aws: AwsSettings
    df: DataFrame | None
    table: SourceTable
    rows: Sequence[Row]

    @cached_property
    def frame(self) -> DataFrame:
        """Return the rows as a DataFrame of one partition, in their order."""
        return table_of(self.spark, self.rows, self.table.full.schema).coalesce(1)

    def rendered(self, config: Config, *, is_checked: bool = True) -> list[RenderedRow]:
        """Return each row as a config renders it. Runs one or two small Spark actions.

        is_checked: whether bodies that the model would refuse are an error, as in prepare
        Raises ConfigError for a column that the source does not have.
        """
        template = body_template(config)
        check_columns(template.columns, self.frame.columns, "request")
        own = self.table.columns
        columns = SourceColumns(
            *(own.key, own.kept, template.columns, own.corrupt),
            template.columns if own.decoded else (),
        )
        needed = self.frame.select(*map(column_of, columns.needed))
        with reading(self.config.source, self.df):
            if is_checked:
                refuse_sample(needed, template.columns, config, self.aws)
            task = RenderRows(config, columns, self.aws)
            made = needed.mapInArrow(task, _RENDERED).collect()
        return read_rendered((each["line"], each["reason"], each["row_values"]) for each in made)

    def with_columns(
        self, ddl: str, values: Sequence[Sequence[Any]], prefix: str = ""
    ) -> DataFrame:
        """Return the rows with the columns that the results keep, and with further columns.

        ddl: of the further columns; any of them may be null. prefix: of their names
        values: of each row
        """
        own, kept = self.frame.schema, self.table.columns.kept
        places = [own.names.index(name) for name in kept]
        added = self.spark.createDataFrame([], ddl).schema
        schema = T.StructType(
            [
                *(own.fields[place] for place in places),
                *(T.StructField(f"{prefix}{f.name}", f.dataType) for f in added.fields),
            ]
        )
        rows = [
            (*(row[place] for place in places), *more)
            for row, more in zip(self.rows, values, strict=True)
        ]
        return table_of(self.spark, rows, schema)

    def size(self, config: Config) -> SourceSize:
        """Estimate the size of the whole source as a config renders it: see `estimate_size`."""
        full = self.table.full
        with reading(self.config.source, self.df):
            template = with_object_sizes(body_template(config), full, self.aws)
            return estimate_size(full, template, self.table.columns.kept)


def read_first_rows(
    spark: SparkSession,
    config: Config,
    aws: AwsSettings,
    df: DataFrame | None,
    choice: RowChoice,
) -> FirstRows:
    """Return some rows of a config's source, or of `df` as its source.

    Of the first rows, reads as few partitions as it can; for rows at random or with certain keys,
    reads the whole source. Raises ConfigError and SourceError, and PlanError if there is no row.
    """
    with reading(config.source, df):
        table = open_table(spark, config, df, aws)
        full = table.full
        if choice.where is not None:
            with config_errors(choice.where_name):
                full = full.where(choice.where)
                _ = full.schema  # over Spark Connect, this asks the server
        if choice.seed is not None:
            full = full.orderBy(F.rand(choice.seed))
        if choice.keys:
            rows = _rows_with_keys(full, config.source, choice)
        else:
            rows = with_entries(full).take(choice.rows)
    if not rows:
        conditions = choice.said(config.source.where)
        what = f"has no row for which {conditions}" if conditions else "has no rows"
        raise PlanError(f"source: {what}, so there is nothing to ask")
    return FirstRows(spark, config, aws, df, table, rows)


def _rows_with_keys(full: DataFrame, source: SourceConfig, choice: RowChoice) -> list[Row]:
    """Return a row for each key. Raises PlanError, which names the keys that no row has.

    A key that many rows have may leave no place for the others: those are searched for again.
    """
    if not source.key:
        raise ConfigError("source.key: is not set, so no row can be named by its key")
    texts = [column_of(name).cast("string") for name in source.key]
    names = full.columns
    found: list[Row] = []
    search = KeySearch(choice)
    while missing := search.missing:
        wanted = full.where(_is_one_of(texts, missing)).withColumn(_KEYS, F.array(*texts))
        whole = with_entries(wanted).select(_KEYS, F.struct(*map(column_of, names)).alias(_ROW))
        taken = whole.take(len(missing))
        found += search.new((tuple(each[_KEYS]), each[_ROW]) for each in taken)
        if len(taken) < len(missing) or search.missing == missing:
            break
    search.end(source.where)
    return found


def _is_one_of(texts: Sequence[Column], keys: Sequence[Sequence[str]]) -> Column:
    """Return whether a row has one of these keys. texts: the values of its own key"""
    if len(texts) == 1:
        return texts[0].isin([key[0] for key in keys])
    each = (
        reduce(operator.and_, (t == v for t, v in zip(texts, key, strict=True))) for key in keys
    )
    return reduce(operator.or_, each)


def read_sample(
    spark: SparkSession, source: SourceConfig, count: int
) -> tuple[list[str], list[Row]]:
    """Return the columns of a source, and its first rows as Spark has them. Raises SourceError.

    Texts and bytes are cut to their beginning: a thousand photos are too much for a laptop.
    """
    with reading(source):
        table = wanted_rows(renamed(read_source(spark, source), source), source)
        return table.columns, table.select(*map(_beginning, table.schema.fields)).take(count)


def _beginning(field: T.StructField) -> Column:
    column = column_of(field.name)
    if not isinstance(field.dataType, (T.StringType, T.BinaryType)):
        return column
    return F.substring(column, 1, MOST_SAMPLED).alias(field.name)
