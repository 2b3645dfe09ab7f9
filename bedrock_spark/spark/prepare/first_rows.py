"""Render the first rows of a source as prepare does, and write nothing.

The rows come to the Spark driver: there are few. They are rendered by a Python worker, from Arrow
batches as in prepare, so every type of column becomes the same JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, SourceConfig
from bedrock_spark.errors import PlanError
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.shards.lines import ShardLine, read_line
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.errors import config_errors
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.damage import damaged_rows
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import ANY_ID, render_lines
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.size_estimate import estimate_size, with_object_sizes
from bedrock_spark.spark.prepare.source import (
    SourceColumns,
    read_source,
    reading,
    renamed,
    wanted_rows,
)
from bedrock_spark.spark.prepare.table import SourceTable, open_table

# A longer text of a row is cut: a row may hold a whole document.
_MAX_CHARACTERS = 500
# As much of a value says which column is a key, and which one is to be asked about.
_MAX_SAMPLED = 4_096
_RENDERED = "line binary, reason string, row_values string"


@dataclass(frozen=True)
class RenderedRow:
    """One row. line: None if the row is rejected, and then `reason` says why.

    row: its kept columns as plain values, long texts cut
    """

    row: dict[str, Any]
    line: ShardLine | None
    reason: str | None


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a source, all columns. Each config renders them in its own way.

    config: its source was read; rows, schema: as Spark has them
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
        return self.spark.createDataFrame(list(self.rows), self.table.full.schema).coalesce(1)

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
        return [
            RenderedRow(
                json.loads(each["row_values"]),
                read_line(bytes(each["line"])) if each["line"] is not None else None,
                each["reason"],
            )
            for each in made
        ]

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
        return self.spark.createDataFrame(rows, schema)

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
    count: int,
    where: str | None = None,
) -> FirstRows:
    """Return the first rows of a config's source, or of `df` as its source.

    where: a condition of Spark SQL on the columns
    Reads as few partitions as it can. Raises ConfigError and SourceError, and PlanError if there is
    no row.
    """
    with reading(config.source, df):
        table = open_table(spark, config, df, aws)
        full = table.full
        if where is not None:
            with config_errors("--where"):
                full = full.where(where)
                _ = full.schema  # over Spark Connect, this asks the server
        rows = full.take(count)
    if not rows:
        conditions = [text for text in (config.source.where, where) if text is not None]
        what = (
            f"has no row for which {' and '.join(conditions)} is true"
            if conditions
            else ("has no rows")
        )
        raise PlanError(f"source: {what}, so there is nothing to ask")
    return FirstRows(spark, config, aws, df, table, rows)


@dataclass(frozen=True)
class RenderRows:
    """Render rows to lines; a Python worker does it. The id in every line is the same."""

    config: Config
    columns: SourceColumns
    aws: AwsSettings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield for each row its line or the reason why it has none, and its values as JSON."""
        with open_objects(self.aws) as objects:
            template = body_template(self.config, objects.fetch)
            for batch in batches:
                for part in with_media(batch, template, objects):
                    damaged = damaged_rows(part, self.columns)
                    ids = pa.repeat(ANY_ID, part.num_rows)
                    max_bytes = self.config.shards.max_bytes
                    lines, rejected = render_lines(ids, part, template, max_bytes)
                    reasons = {**rejected, **damaged}
                    why = [reasons.get(row) for row in range(part.num_rows)]
                    kept = part.select(list(self.columns.kept)).to_pylist()
                    written = zip(lines.to_pylist(), why, strict=True)
                    made = [
                        [line if reason is None else None for line, reason in written],
                        [None if each is None else f"{each.column} {each.reason}" for each in why],
                        [json.dumps(_shown(row), ensure_ascii=False) for row in kept],
                    ]
                    kinds = pa.binary(), pa.string(), pa.string()
                    arrays = [pa.array(v, kind) for v, kind in zip(made, kinds, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, ["line", "reason", "row_values"])


def _shown(value: Any) -> Any:
    """Return a value of Arrow as JSON has it; a long text is cut, and bytes are counted."""
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, (bool, int, float)):
        return value
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat is not None else str(value)


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
    return F.substring(column, 1, _MAX_SAMPLED).alias(field.name)
