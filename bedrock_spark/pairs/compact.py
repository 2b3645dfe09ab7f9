"""Compact rows: hashes of a row's key and values, by which rows are paired and compared.

Hashes are XXH3 (https://xxhash.com). 126 bits of a key's hash make two keys of 10^9 collide with a
chance of 10^-20. Values are only compared within a pair, so 64 bits are enough for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from bedrock_spark.pairs.normal_text import normal_text
from bedrock_spark.pairs.plain_values import number_of, number_text, text_of
from bedrock_spark.pairs.sides import OTHER, OUTCOMES, WITHOUT_KEY, Column, Side

Array: TypeAlias = np.ndarray[Any, Any]

# The longest text that may be a label, as in reports.
LONGEST_LABEL = 60
_REJECTED_BIT = 1 << 62
_ROW_BITS = 32
_CODES = {name: code for code, name in enumerate(OUTCOMES)}
_REJECTED = _CODES["rejected"]


def compact_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the columns of compact rows.

    k1, k2: the hash of the key; the last two bits of k2 are the table
    place: where the row is: a bit if it was rejected, the number of its file, the row in there
    record: the hash of its record id; outcome: its code
    Of the column that is compared with the index i: exact_i and normal_i, hashes of its value and
    of the value's normal form, number_i, and label_i, the value as text if it is short. Each is
    null if the value is.
    """
    fields = [(name, pa.int64()) for name in ("k1", "k2", "place", "record")]
    fields.append(("outcome", pa.int8()))
    for i, column in enumerate(columns):
        if not column.is_measure:
            fields += [(f"exact_{i}", pa.int64()), (f"normal_{i}", pa.int64())]
            fields.append((f"label_{i}", pa.string()))
        if column.is_number:
            fields.append((f"number_{i}", pa.float64()))
    return pa.schema(fields)


def place_of(packed: int) -> tuple[int, int]:
    """Return the number of the file and the row in it that `place` holds."""
    packed &= _REJECTED_BIT - 1
    return packed >> _ROW_BITS, packed & ((1 << _ROW_BITS) - 1)


def compact(batch: pa.RecordBatch, side: Side, file: int, first_row: int) -> pa.RecordBatch:
    """Return the compact rows of some rows of a table.

    batch: has the columns `side.needed`
    file, first_row: where its first row is
    """
    rows = batch.num_rows
    places = (np.int64(file) << _ROW_BITS) + np.arange(first_row, first_row + rows, dtype=np.int64)
    outcomes = _outcomes(batch, side)
    has_key, digests = _keys(batch, side, places)
    outcomes[~has_key] = WITHOUT_KEY
    arrays: list[Any] = [digests[:, 0], (digests[:, 1] & ~np.int64(3)) | np.int64(side.place)]
    compared: list[pa.Array] = []
    value = None
    for column in side.columns:
        made = _compared(batch, column, column.names[side.place])
        value = made[0] if value is None and column.names[side.place] is not None else value
        compared += made
    arrays.append(np.where(outcomes == _REJECTED, places | _REJECTED_BIT, places))
    arrays.append(_records(batch, side, value))
    arrays.append(outcomes)
    schema = compact_schema(side.columns)
    own = [pa.array(array) for array in arrays]
    return pa.RecordBatch.from_arrays([*own, *compared], schema=schema)


def _outcomes(batch: pa.RecordBatch, side: Side) -> Array:
    if side.outcome is None:
        return np.zeros(batch.num_rows, np.int8)
    encoded = _encoded(batch.column(side.outcome))
    codes = [_CODES.get(value, OTHER) for value in encoded.dictionary.to_pylist()]
    found = pc.fill_null(pa.array(codes, pa.int8()).take(encoded.indices), OTHER)
    outcomes: Array = found.to_numpy(zero_copy_only=False)
    return outcomes.copy()


def _encoded(array: pa.Array) -> pa.DictionaryArray:
    """Return a dictionary of the values, which has no null."""
    if pa.types.is_dictionary(array.type):
        array = pc.cast(array, array.type.value_type)
    elif pa.types.is_null(array.type):
        array = pc.cast(array, pa.string())
    return pc.dictionary_encode(array)


def _keys(batch: pa.RecordBatch, side: Side, places: Array) -> tuple[Array, Array]:
    """Return which rows have a key, and two numbers for each row: the hash of its key.

    A row without a key gets a hash of its place, so that it is alone.
    """
    columns = [_texts(batch.column(name)) for name in side.key]
    has_key: Array = np.ones(batch.num_rows, np.bool_)
    for column in columns:
        has_key &= pc.is_valid(column).to_numpy(zero_copy_only=False)
    texts = [pc.fill_null(column, "").to_pylist() for column in columns]
    # Several values are hashed as a JSON array, so that ("x", "yz") is not ("xy", "z").
    keys = texts[0] if len(texts) == 1 else map(msgspec.json.encode, zip(*texts, strict=True))
    found = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, keys)), "<i8").reshape(-1, 2)
    if has_key.all():
        return has_key, found
    alone = (f"{side.place} {place} has no key" for place in places[~has_key].tolist())
    digests = found.copy()
    digests[~has_key] = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, alone)), "<i8").reshape(
        -1, 2
    )
    return has_key, digests


def _texts(array: pa.Array) -> pa.Array:
    """Return values as texts. Integers and texts are most keys, and need no loop."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return pc.cast(array, pa.string())
    return pa.array([text_of(value) for value in array.to_pylist()], pa.string())


def _compared(batch: pa.RecordBatch, column: Column, name: str | None) -> list[pa.Array]:
    """Return what the compact rows have of a column. name: in the table; None if it has none."""
    kinds = [] if column.is_measure else [pa.int64(), pa.int64(), pa.string()]
    kinds += [pa.float64()] if column.is_number else []
    if name is None:
        return [pa.nulls(batch.num_rows, kind) for kind in kinds]
    array = batch.column(name)
    if column.is_measure:
        return [pc.cast(array, pa.float64(), safe=False)]  # beyond 2**53 they are rounded
    if pa.types.is_float32(array.type):  # 0.1 of 32 bits is 0.1 of 64 bits
        array = pc.cast(pc.cast(array, pa.string()), pa.float64())
    elif pa.types.is_nested(array.type):
        array = pa.array([text_of(value) for value in array.to_pylist()], pa.string())
    encoded = _encoded(array)
    values = encoded.dictionary.to_pylist()
    is_text = pa.types.is_string(encoded.dictionary.type)
    texts: list[str] = values if is_text else [text_of(value) or "" for value in values]
    if column.is_number:
        texts = [*map(number_text, texts)]
    made = [
        pa.array(_hashes(texts)),
        pa.array(_hashes(map(normal_text, texts))),
        pa.array([text if len(text) <= LONGEST_LABEL else None for text in texts], pa.string()),
    ]
    if column.is_number:
        made.append(pa.array([*map(number_of, values)], pa.float64()))
    return [each.take(encoded.indices) for each in made]


def _hashes(texts: Iterable[str]) -> Array:
    """Return signed 64-bit hashes of texts."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, texts), np.uint64).view(np.int64)


def _records(batch: pa.RecordBatch, side: Side, value: pa.Array | None) -> pa.Array:
    """Return a number for the record of each row; rows that share a record have the same one.

    value: the hashes of the first compared column: true values have no record but that
    """
    if side.record_id is not None:
        ids = pc.fill_null(batch.column(side.record_id), "")
        return pa.array(_hashes(ids.to_pylist()))
    return pc.fill_null(pa.nulls(batch.num_rows, pa.int64()) if value is None else value, 0)
