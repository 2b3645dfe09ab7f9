"""Guess how much there is, to plan the deal; what it comes to in the end is counted exactly."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_objects import ObjectReader
from bedrock_spark.errors import StorageError
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.lines import FRAME_BYTES
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.prefetch import THREADS
from bedrock_spark.templates.body_template import BodyTemplate
from bedrock_spark.templates.json_values import Unrenderable

# What a line holds beside its body.
_LINE_OVERHEAD = FRAME_BYTES + record_ids.LENGTH
# What to_json puts around a value: {"v":…}
_WRAPPING = len('{"v":}')
# What it puts around a text; with them no text is without length, and all are stretched alike.
_QUOTES = len('""')
# The lengths of so many rows are looked at, and of the first ones in what JSON makes of them.
_SAMPLE_ROWS, _EXACT_ROWS = 20_000, 2_000
# The objects (images, documents) of the first rows are measured.
_SAMPLE_OBJECT_ROWS = 100
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


def with_object_sizes(template: BodyTemplate, df: DataFrame, aws: AwsSettings) -> BodyTemplate:
    """Return the template with what the objects of a row come to counted as literal bytes.

    Runs a small Spark action where the template reads images or documents, and is a guess.
    """
    names = list(dict.fromkeys(placeholder.column for placeholder in template.media))
    named = [name for name in names if _names_objects(df.schema[name].dataType)]
    if not named:
        return template
    rows = df.select(*map(column_of, named)).take(_SAMPLE_OBJECT_ROWS)
    missing = dict.fromkeys(names)
    uris = [u for row in rows for u in template.uris({**missing, **row.asDict(recursive=True)})]
    with ThreadPoolExecutor(THREADS) as pool:
        reader = ObjectReader(aws, THREADS)
        total = sum(pool.map(lambda uri: _size(reader, uri), uris))
    encoded = total * 4 // 3 // max(1, len(rows))
    return dataclasses.replace(template, static_bytes=template.static_bytes + encoded)


def _size(reader: ObjectReader, uri: str) -> int:
    try:
        return min(reader.size(uri), reader.max_bytes)
    except (Unrenderable, StorageError):
        return 0  # a guess may be wrong; the task will say what is the matter


def _names_objects(kind: T.DataType) -> bool:
    one = kind.elementType if isinstance(kind, T.ArrayType) else kind
    return not isinstance(one, T.BinaryType)
