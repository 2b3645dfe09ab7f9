"""Guess how much there is, to plan the deal; what it comes to in the end is counted exactly."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark import record_ids
from bedrock_spark.planning import SourceSize
from bedrock_spark.shard_lines import FRAME_BYTES
from bedrock_spark.spark.columns import column_of
from bedrock_spark.templates import BodyTemplate

# What a line holds beside its body.
_LINE_OVERHEAD = FRAME_BYTES + record_ids.LENGTH
# What to_json puts around a value: {"v":…}
_WRAPPING = len('{"v":}')
# What it puts around a text; with them no text is without length, and all are stretched alike.
_QUOTES = len('""')
# The lengths of so many rows are looked at, and of the first ones in what JSON makes of them.
_SAMPLE_ROWS, _EXACT_ROWS = 20_000, 2_000
# The bits of monotonically_increasing_id that count the rows of a partition.
_ROW_BITS = 33


def guess_size(df: DataFrame, template: BodyTemplate) -> SourceSize:
    """Count the rows and guess at their lines from the first few. Runs two small Spark actions."""
    sample = _lengths(df, template.columns).take(_SAMPLE_ROWS)
    rows = df.count() if len(sample) == _SAMPLE_ROWS else len(sample)
    exact = [(raw, as_json) for raw, as_json in sample if as_json is not None]
    stretch = sum(j for _, j in exact) / max(1, sum(r for r, _ in exact))
    fixed = template.static_bytes + _LINE_OVERHEAD
    lines = [fixed + round(raw * stretch) for raw, _ in sample]
    return SourceSize(
        records=rows,
        line_bytes=sum(lines) * rows // max(1, len(lines)),
        squares=sum(line * line for line in lines) * rows // max(1, len(lines)),
    )


def _lengths(df: DataFrame, names: Sequence[str]) -> DataFrame:
    """Give the bytes of what every row holds: as it is, and of the first rows also as JSON.

    JSON is dear to make, and makes all texts of one table longer by much the same share.
    """
    row = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << _ROW_BITS) - 1))
    raw = _sum(_raw_length(df, name) for name in names)
    as_json = _sum(_json_length(df, name) for name in names)
    return df.select(raw, F.when(row < _EXACT_ROWS, as_json))


def _sum(lengths: Iterable[Column]) -> Column:
    return reduce(operator.add, lengths, F.lit(0).cast("bigint"))


def _raw_length(df: DataFrame, name: str) -> Column:
    if isinstance(df.schema[name].dataType, T.StringType):
        length = F.octet_length(column_of(name)) + _QUOTES
        return F.coalesce(length, F.lit(4)).cast("bigint")
    return _json_length(df, name)


def _json_length(df: DataFrame, name: str) -> Column:
    """Return the bytes of a value as JSON; of bytes, as base64."""
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, T.BinaryType):
        length = F.octet_length(column) * 4 / 3
    else:
        length = F.octet_length(F.to_json(F.struct(column.alias("v")))) - _WRAPPING
    return F.coalesce(length, F.lit(4)).cast("bigint")
