"""Read rows of Parquet files by Arrow, if their types become the same in Spark."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as pq

from bedrock_spark.config.row_choice import KeySearch
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError, refuse_names
from bedrock_spark.storage.range_file import RangeFile

# Rows at random are taken from as many row groups at most.
_MOST_GROUPS = 4
# A thousand photos are too much memory for a laptop.
_ROWS_AT_ONCE = 100
_TEXTS_OF_SPARK = ("ENUM", "JSON")
# Spark writes its own types into a file, and reads them again: an interval is a number to others.
_SCHEMA_OF_SPARK = b"org.apache.spark.sql.parquet.row.metadata"
_TYPES_OF_SPARK = re.compile(
    rb'"(?:type|elementType|keyType|valueType)":"(?:interval|udt|variant|void|time\()'
)
_OLD = pa.scalar(dt.datetime(1900, 1, 1), pa.timestamp("us"))
_SINGLE = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_boolean),
    *(pa.types.is_int8, pa.types.is_int16, pa.types.is_int32, pa.types.is_int64),
    *(pa.types.is_float32, pa.types.is_float64, pa.types.is_decimal128, pa.types.is_date32),
)
_AS_KEY = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_date32),
    *(pa.types.is_int8, pa.types.is_int16, pa.types.is_int32, pa.types.is_int64),
)


def open_parquet(file: RangeFile) -> pq.ParquetFile:
    """Open a file. Raises NeedsSparkError for types that Spark may hand to Python differently."""
    opened = pq.ParquetFile(file)
    refuse_types(opened, opened.schema_arrow.names)
    return opened


def refuse_types(file: pq.ParquetFile, names: Sequence[str]) -> None:
    """Raise NeedsSparkError for columns that Spark may hand to Python differently.

    names: of the columns that are read
    """
    refuse_names(file.schema_arrow.names)
    missing = next((name for name in names if name not in file.schema_arrow.names), None)
    if missing is not None:
        raise NeedsSparkError(f"a file has no column {missing}")
    for name in names:
        kind = file.schema_arrow.field(name).type
        own = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not _is_same(own):
            raise NeedsSparkError(f"the column {name} has the type {kind}")
    for number in range(len(file.schema)):
        column = file.schema.column(number)
        # To Arrow, or to one of its versions, these are bytes; to Spark, they are texts.
        if column.logical_type.type in _TEXTS_OF_SPARK:
            kind = column.logical_type.type
            raise NeedsSparkError(f"the column {column.path} has the type {kind} of Parquet")
    own_types = (file.metadata.metadata or {}).get(_SCHEMA_OF_SPARK, b"")
    if _TYPES_OF_SPARK.search(own_types):
        raise NeedsSparkError("the file has a column of a type that Spark alone knows")


def plain(table: pa.Table | pa.RecordBatch) -> list[pa.RecordBatch]:
    """Return rows with the types that Spark has: no dictionaries, which are a form of storage.

    Raises NeedsSparkError for days and times so long ago that some versions of Spark refuse them.
    """
    whole = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    arrays = [_decoded(column) for column in whole.columns]
    for name, array in zip(whole.column_names, arrays, strict=True):
        for leaf in _leaves(array):
            if pc.any(pc.less(leaf.cast(pa.timestamp("us"), safe=False), _OLD)).as_py():
                raise NeedsSparkError(f"the column {name} has days or times before 1900")
    found = pa.Table.from_arrays(arrays, names=whole.column_names).combine_chunks()
    batches: list[pa.RecordBatch] = found.to_batches()
    return batches


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _leaves(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield the days and times that are in values of any type."""
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _leaves(chunk)
        return
    types, kind = pa.types, array.type
    if types.is_timestamp(kind) or types.is_date(kind):
        yield array.cast(pa.timestamp(kind.unit)) if types.is_timestamp(kind) else array
    elif types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif types.is_list(kind) or types.is_large_list(kind):
        yield from _leaves(array.flatten())
    elif types.is_struct(kind):
        for field in array.flatten():
            yield from _leaves(field)


def _is_same(kind: pa.DataType) -> bool:
    """Tell whether Spark and Arrow read a type of Parquet as the same values."""
    types = pa.types
    if types.is_timestamp(kind):
        return kind.unit in ("ms", "us")
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_same(kind.value_type)
    if types.is_map(kind):
        return _is_same(kind.key_type) and _is_same(kind.item_type)
    if types.is_struct(kind):
        return kind.num_fields > 0 and all(_is_same(field.type) for field in kind)
    return any(is_kind(kind) for is_kind in _SINGLE)


def first_rows(file: pq.ParquetFile, count: int) -> Iterator[pa.RecordBatch]:
    """Yield the first rows."""
    for batch in file.iter_batches(batch_size=min(count, _ROWS_AT_ONCE), use_threads=False):
        yield from plain(batch.slice(0, count))
        count -= batch.num_rows
        if count <= 0:
            return


def random_rows(files: Sequence[pq.ParquetFile], count: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Yield rows at random from a few row groups, each chosen as likely as it has rows."""
    dice = random.Random(seed)
    groups = [
        (file, number, file.metadata.row_group(number).num_rows)
        for file in files
        for number in range(file.metadata.num_row_groups)
    ]
    groups = [group for group in groups if group[2]]
    chosen = _weighted(groups, dice)
    share = -(-count // max(1, len(chosen)))
    left = count
    for n, (file, number, rows) in enumerate(chosen):
        wanted = min(left, rows, share) if n < len(chosen) - 1 else min(left, rows)
        places = sorted(dice.sample(range(rows), wanted))
        table = file.read_row_group(number, use_threads=False).take(pa.array(places, pa.int64()))
        yield from plain(table)
        left -= wanted


def _weighted(
    groups: list[tuple[pq.ParquetFile, int, int]], dice: random.Random
) -> list[tuple[pq.ParquetFile, int, int]]:
    """Return a few row groups without repetition (Efraimidis and Spirakis, A-Res)."""
    ranked = sorted(groups, key=lambda group: dice.random() ** (1 / group[2]), reverse=True)
    return ranked[:_MOST_GROUPS]


def rows_with_keys(
    file: pq.ParquetFile, columns: tuple[str, ...], search: KeySearch
) -> Iterator[pa.RecordBatch]:
    """Yield the rows whose keys are missing. Of each row group, the keys are read first.

    columns: the names in the file; search: for their values as Spark casts them to text
    Raises NeedsSparkError for a type whose text may differ.
    """
    for name in columns:
        kind = file.schema_arrow.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(is_kind(kind) for is_kind in _AS_KEY):
            raise NeedsSparkError(f"the column {name} of the key has the type {kind}")
    for number in range(file.metadata.num_row_groups):
        if not search.missing:
            return
        found = places_of_keys(
            file.read_row_group(number, columns=list(columns), use_threads=False), columns, search
        )
        if len(found):
            yield from plain(file.read_row_group(number, use_threads=False).take(found))


def places_of_keys(
    table: pa.Table | pa.RecordBatch, columns: tuple[str, ...], search: KeySearch
) -> pa.Array:
    """Return the numbers of the rows whose keys are missing. Then they are not."""
    texts = [pc.cast(table.column(name), pa.string()).to_pylist() for name in columns]
    places = ((key, n) for n, key in enumerate(zip(*texts, strict=True)))
    return pa.array(search.new(places), pa.int64())
