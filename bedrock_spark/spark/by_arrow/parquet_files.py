"""Read rows of Parquet files by Arrow, if their types become the same in Spark."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as pq

from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.storage.range_file import RangeFile

# Rows at random are taken from as many row groups at most.
_MOST_GROUPS = 4
_SINGLE = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_boolean),
    *(pa.types.is_int8, pa.types.is_int16, pa.types.is_int32, pa.types.is_int64),
    *(pa.types.is_float32, pa.types.is_float64, pa.types.is_decimal, pa.types.is_date32),
)
_AS_KEY = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_date32),
    *(pa.types.is_int8, pa.types.is_int16, pa.types.is_int32, pa.types.is_int64),
)


def open_parquet(file: RangeFile) -> pq.ParquetFile:
    """Open a file. Raises NeedsSparkError for types that Spark may hand to Python differently."""
    # Without what Arrow itself has written into the file: Spark does not read that.
    opened = pq.ParquetFile(file)
    for field in opened.schema_arrow:
        if not _is_same(field.type):
            raise NeedsSparkError(f"the column {field.name} has the type {field.type}")
    return opened


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
    for batch in file.iter_batches(batch_size=count, use_threads=False):
        yield batch.slice(0, count)
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
        yield from table.to_batches()
        left -= wanted


def _weighted(
    groups: list[tuple[pq.ParquetFile, int, int]], dice: random.Random
) -> list[tuple[pq.ParquetFile, int, int]]:
    """Return a few row groups without repetition (Efraimidis and Spirakis, A-Res)."""
    ranked = sorted(groups, key=lambda group: dice.random() ** (1 / group[2]), reverse=True)
    return ranked[:_MOST_GROUPS]


def rows_with_keys(
    file: pq.ParquetFile, columns: tuple[str, ...], keys: Sequence[tuple[str, ...]]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that have one of some keys. Of each row group, the keys are read first.

    columns: the names in the file; keys: their values as Spark casts them to text
    Raises NeedsSparkError for a type whose text may differ.
    """
    for name in columns:
        kind = file.schema_arrow.field(name).type
        if not any(is_kind(kind) for is_kind in _AS_KEY):
            raise NeedsSparkError(f"the column {name} of the key has the type {kind}")
    for number in range(file.metadata.num_row_groups):
        found = places_of_keys(
            file.read_row_group(number, columns=list(columns), use_threads=False), columns, keys
        )
        if len(found):
            yield from file.read_row_group(number, use_threads=False).take(found).to_batches()


def places_of_keys(
    table: pa.Table | pa.RecordBatch, columns: tuple[str, ...], keys: Sequence[tuple[str, ...]]
) -> pa.Array:
    """Return the numbers of the rows that have one of some keys."""
    wanted = set(keys)
    texts = [pc.cast(table.column(name), pa.string()).to_pylist() for name in columns]
    found = [n for n, key in enumerate(zip(*texts, strict=True)) if key in wanted]
    return pa.array(found, pa.int64())
