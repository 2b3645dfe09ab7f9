"""Compact rows: hashes of a row's key and values, by which rows are paired and compared.

Hashes are XXH3 (https://xxhash.com). 126 bits of a key's hash make two keys of 10^9 collide with a
chance of 10^-20. Values are only compared within a pair, so 64 bits are enough for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from bedrock_spark.pairs.normal_text import normal_text
from bedrock_spark.pairs.plain_values import number_of, text_of
from bedrock_spark.pairs.sides import OTHER, OUTCOMES, WITHOUT_KEY, Column, Side

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


def _outcomes(batch: pa.RecordBatch, side: Side) -> np.ndarray[Any, Any]:
    if side.outcome is None:
        return np.zeros(batch.num_rows, np.int8)
    return _by_value(batch.column(side.outcome), lambda v: _CODES.get(v, OTHER), pa.int8(), OTHER)


def _by_value(
    array: pa.Array, function: Callable[[Any], Any], kind: pa.DataType, if_null: int
) -> np.ndarray[Any, Any]:
    """Return an integer for each value; the function is called once for each different value."""
    found = _mapped(_encoded(array), function, kind)
    numbers: np.ndarray[Any, Any] = pc.fill_null(found, if_null).to_numpy(zero_copy_only=False)
    return numbers.copy()


def _encoded(array: pa.Array) -> pa.DictionaryArray:
    return array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)


def _mapped(
    encoded: pa.DictionaryArray, function: Callable[[Any], Any], kind: pa.DataType
) -> pa.Array:
    values = pa.array([function(v) for v in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)


def _keys(
    batch: pa.RecordBatch, side: Side, places: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return which rows have a key, and two numbers for each row: the hash of its key.

    A row without a key gets a hash of its place, so that it is alone.
    """
    texts = [_texts(batch.column(name)) for name in side.key]
    digest, encode = xxhash.xxh3_128_digest, msgspec.json.encode
    hashed, has_key = [], np.ones(batch.num_rows, np.bool_)
    for row, values in enumerate(zip(*texts, strict=True)):
        if None in values:
            has_key[row] = False
            values = ("", str(side.place), str(places[row]), "without a key")
        hashed.append(digest(encode(values)))
    digests = np.frombuffer(b"".join(hashed), dtype="<i8").reshape(-1, 2)
    return has_key, digests


def _texts(array: pa.Array) -> list[str | None]:
    if pa.types.is_string(array.type) or pa.types.is_integer(array.type):
        found: list[str | None] = pc.cast(array, pa.string()).to_pylist()
        return found
    return [text_of(value) for value in array.to_pylist()]


def _compared(batch: pa.RecordBatch, column: Column, name: str | None) -> list[pa.Array]:
    """Return what the compact rows have of a column. name: in the table; None if it has none."""
    kinds = [] if column.is_measure else [pa.int64(), pa.int64(), pa.string()]
    kinds += [pa.float64()] if column.is_number else []
    if name is None:
        return [pa.nulls(batch.num_rows, kind) for kind in kinds]
    array = batch.column(name)
    if column.is_measure:
        return [pc.cast(array, pa.float64())]
    if pa.types.is_float32(array.type):  # 0.1 of 32 bits is 0.1 of 64 bits
        array = pc.cast(pc.cast(array, pa.string()), pa.float64())
    elif pa.types.is_nested(array.type):
        array = pa.array([text_of(value) for value in array.to_pylist()], pa.string())
    encoded = _encoded(array)
    numbers = [_mapped(encoded, number_of, pa.float64())] if column.is_number else []
    texts = [text_of(value) for value in encoded.dictionary.to_pylist()]
    if column.is_number:
        texts = [_plain_number(text) for text in texts]
    made = (
        pa.array([_hash(text) for text in texts], pa.int64()),
        pa.array([_hash(None if t is None else normal_text(t)) for t in texts], pa.int64()),
        pa.array([t if t is None or len(t) <= LONGEST_LABEL else None for t in texts], pa.string()),
    )
    return [*(values.take(encoded.indices) for values in made), *numbers]


def _plain_number(text: str | None) -> str | None:
    """Return the text of a number without its form: `5.0` and `05` are `5`, as in other tables."""
    number = None if text is None else number_of(text)
    if text is None or number is None or text.lstrip("-").isdecimal():
        return text
    return text_of(number)


def _hash(text: str | None) -> int | None:
    if text is None:
        return None
    unsigned = int(xxhash.xxh3_64_intdigest(text))
    return unsigned - (1 << 64) if unsigned >> 63 else unsigned


def _records(batch: pa.RecordBatch, side: Side, value: pa.Array | None) -> pa.Array:
    """Return a number for the record of each row; rows that share a record have the same one.

    value: the hashes of the first compared column: true values have no record but that
    """
    if side.record_id is not None:
        ids = batch.column(side.record_id).to_pylist()
        return pa.array([_hash(each) or 0 for each in ids], pa.int64())
    return pc.fill_null(pa.nulls(batch.num_rows, pa.int64()) if value is None else value, 0)
