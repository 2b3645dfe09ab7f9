"""Estimate the size of the source, to plan the buckets. Exact sizes are counted while writing."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_objects import ObjectReader
from bedrock_spark.errors import StorageError
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.lines import FRAME_BYTES
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.columns import column_of
from bedrock_spark.spark.prepare.prefetch import THREADS
from bedrock_spark.spark.row_bytes import ID_BYTES, OFFSET_BYTES
from bedrock_spark.templates.body_template import BodyTemplate
from bedrock_spark.templates.json_values import Unrenderable

# The bytes of a line beside its body.
_LINE_OVERHEAD = FRAME_BYTES + record_ids.LENGTH
# The bytes that to_json adds around a value: {"v":...}
_WRAPPING = len('{"v":}')
# The bytes that JSON adds around a text. They are counted in the raw length too: so no text has
# length 0, and the ratio of JSON length to raw length is that of the characters.
_QUOTES = len('""')
# The bytes of the JSON of a null.
_NULL_BYTES = len("null")
# The bytes in memory of a record id, and of a number, a date or the like.
_FIXED_BYTES = 8
# Sample sizes: raw lengths of 20,000 rows, JSON lengths of the first 2,000 rows of each partition.
_SAMPLE_ROWS, _JSON_ROWS = 20_000, 2_000
# The objects (images, documents) of the first 100 rows are measured.
_SAMPLE_OBJECT_ROWS = 100
# monotonically_increasing_id has the row's number within its partition in its lower 33 bits:
# https://spark.apache.org/docs/latest/api/sql/#monotonically_increasing_id
_ROW_BITS = 33


def estimate_size(
    df: DataFrame,
    template: BodyTemplate,
    kept: Sequence[str],
    count: Callable[[], int] | None = None,
) -> SourceSize:
    """Count the rows and estimate their lines from the first few. Runs up to two Spark actions.

    kept: the columns that are kept for the results: their bytes in memory are estimated, too
    count: returns the number of rows, which is counted elsewhere meanwhile
    A line is estimated as fixed bytes + raw length * r, where r is the JSON length over the raw
    length of the rows for which both are known.
    """
    sample = _lengths(df, template.columns, kept).take(_SAMPLE_ROWS)
    rows = (count or df.count)() if len(sample) == _SAMPLE_ROWS else len(sample)
    measured = [(raw, as_json) for raw, as_json, _ in sample if as_json is not None]
    row_bytes = [ID_BYTES + of_row for _, _, of_row in sample if of_row is not None]
    json_ratio = sum(j for _, j in measured) / max(1, sum(r for r, _ in measured))
    fixed_bytes = template.static_bytes + _LINE_OVERHEAD
    lines = [fixed_bytes + round(raw * json_ratio) for raw, _, _ in sample]
    return SourceSize(rows, *sums_for(rows, lines), *sums_for(rows, row_bytes))


def sums_for(rows: int, sizes: Sequence[int]) -> tuple[int, int]:
    """Return the sum, and the sum of squares, of `rows` sizes of which some are known."""
    few = max(1, len(sizes))
    return sum(sizes) * rows // few, sum(size * size for size in sizes) * rows // few


def _lengths(df: DataFrame, names: Sequence[str], kept: Sequence[str]) -> DataFrame:
    """Return each row's bytes in the columns `names`, raw and as JSON; and in `kept`, in memory.

    The last two are null for all but the first rows: JSON is expensive to make, and makes all texts
    of one table longer by nearly the same factor.
    """
    row = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << _ROW_BITS) - 1))
    raw = _sum(_raw_length(df, name) for name in names)
    as_json = _sum(_json_length(df, name) for name in names)
    in_memory = _sum(_memory_length(df, name) for name in kept)
    is_first = row < _JSON_ROWS
    return df.select(raw, F.when(is_first, as_json), F.when(is_first, in_memory))


def _memory_length(df: DataFrame, name: str) -> Column:
    """Return about as many bytes as row_bytes.py counts for a value.

    The bytes of a nested value are those of its text.
    """
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, (T.ArrayType, T.MapType, T.StructType)):
        length = F.octet_length(column.cast("string"))
    elif isinstance(kind, (T.StringType, T.BinaryType)):
        length = F.octet_length(column)
    else:
        return F.lit(_FIXED_BYTES).cast("bigint")
    return (F.coalesce(length, F.lit(0)) + OFFSET_BYTES).cast("bigint")


def _sum(lengths: Iterable[Column]) -> Column:
    return reduce(operator.add, lengths, F.lit(0).cast("bigint"))


def _raw_length(df: DataFrame, name: str) -> Column:
    if isinstance(df.schema[name].dataType, T.StringType):
        length = F.octet_length(column_of(name)) + _QUOTES
        return F.coalesce(length, F.lit(_NULL_BYTES)).cast("bigint")
    return _json_length(df, name)


def _json_length(df: DataFrame, name: str) -> Column:
    """Return the bytes of a value as JSON. Binary values count as base64, 4 bytes for every 3."""
    column, kind = column_of(name), df.schema[name].dataType
    if isinstance(kind, T.BinaryType):
        length = F.octet_length(column) * 4 / 3
    else:
        length = F.octet_length(F.to_json(F.struct(column.alias("v")))) - _WRAPPING
    return F.coalesce(length, F.lit(_NULL_BYTES)).cast("bigint")


def with_object_sizes(template: BodyTemplate, df: DataFrame, aws: AwsSettings) -> BodyTemplate:
    """Return the template with the average size of a row's objects added to its static bytes.

    An estimate from the first rows; objects count as base64, 4 bytes for every 3. Runs a small
    Spark action if the template reads images or documents by URI.
    """
    names = list(dict.fromkeys(placeholder.column for placeholder in template.media))
    uri_names = [name for name in names if _names_objects(df.schema[name].dataType)]
    if not uri_names:
        return template
    rows = df.select(*map(column_of, uri_names)).take(_SAMPLE_OBJECT_ROWS)
    nulls = dict.fromkeys(names)
    uris = [u for row in rows for u in template.uris({**nulls, **row.asDict(recursive=True)})]
    with ThreadPoolExecutor(THREADS) as pool:
        reader = ObjectReader(aws, THREADS)
        total = sum(pool.map(lambda uri: _size(reader, uri), uris))
    row_bytes = total * 4 // 3 // max(1, len(rows))
    return dataclasses.replace(template, static_bytes=template.static_bytes + row_bytes)


def _size(reader: ObjectReader, uri: str) -> int:
    try:
        return min(reader.size(uri), reader.max_bytes)
    except (Unrenderable, StorageError):
        return 0  # an estimate may be wrong; the task reports the error


def _names_objects(kind: T.DataType) -> bool:
    element = kind.elementType if isinstance(kind, T.ArrayType) else kind
    return not isinstance(element, T.BinaryType)
