"""The bytes that each row of a record batch takes in memory, by the values alone.

The number is that of Arrow's buffers without the validity bitmaps. It depends on the row's values
and on nothing else: not on the batch that the row is in, nor on what a buffer holds beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.shards.record_ids import LENGTH

# Texts, binaries and lists have an offset for each value.
OFFSET_BYTES = 4
# A record id is a text.
ID_BYTES = LENGTH + OFFSET_BYTES
# A type that is none of those below has about this many bytes for each value.
_OTHER_BYTES = 16

Sizes = npt.NDArray[np.int64]


def row_bytes(batch: pa.RecordBatch) -> Sizes:
    """Return the bytes of each row of a batch."""
    return _sum([_value_bytes(column) for column in batch.columns], batch.num_rows)


def _value_bytes(array: pa.Array) -> Sizes:
    kind = array.type
    if _has_bytes(kind):
        return _int64(pc.binary_length(array)) + OFFSET_BYTES
    if pa.types.is_map(kind):
        # The same memory, seen as a list of structs.
        array = array.view(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        kind = array.type
    if _is_list(kind):
        lengths = _int64(pc.list_value_length(array))
        before = np.concatenate([[0], np.cumsum(_value_bytes(array.flatten()), dtype=np.int64)])
        ends = np.cumsum(lengths, dtype=np.int64)
        sizes: Sizes = before[ends] - before[ends - lengths] + OFFSET_BYTES
        return sizes
    if pa.types.is_struct(kind):
        return _sum([_value_bytes(field) for field in array.flatten()], len(array))
    return np.full(len(array), _fixed_bytes(kind), np.int64)


def _sum(columns: list[Sizes], rows: int) -> Sizes:
    total = np.zeros(rows, np.int64)
    for column in columns:
        total += column
    return total


def _int64(lengths: pa.Array) -> Sizes:
    """Return lengths as an array; a null has no length."""
    if lengths.null_count:
        lengths = pc.fill_null(lengths, 0)
    values: Sizes = lengths.to_numpy().astype(np.int64)
    return values


def _fixed_bytes(kind: Any) -> int:
    if pa.types.is_null(kind):
        return 0
    try:
        return int(kind.bit_width + 7) // 8
    except ValueError:
        return _OTHER_BYTES


def _has_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
