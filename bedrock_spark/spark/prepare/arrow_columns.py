"""Convert an Arrow column to Python values, by the column's type.

Arrow's own `to_pylist` is not used, for four reasons: it turns a map into a list of tuples, shows
more digits of a 32-bit float than it has, depends on the session's time zone, and fails for the
whole batch if one text is not UTF-8. Here a value that Python cannot hold becomes an Unreadable in
its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.templates.json_values import (
    NOT_UTF8,
    Struct,
    Unreadable,
    Unrenderable,
    map_key_text,
)

OUT_OF_RANGE = "holds a date or time outside of the years 1 to 9999"


def column_values(column: pa.Array) -> list[Any]:
    """Return the values of a column in the types that templates use. No value makes it raise."""
    try:
        return _values(column)
    except (UnicodeDecodeError, OverflowError, Unrenderable):
        return [_value(column.slice(row, 1)) for row in range(len(column))]


def _value(cell: pa.Array) -> Any:
    try:
        return _values(cell)[0]
    except Unrenderable as exc:
        return Unreadable(str(exc))
    except UnicodeDecodeError:
        return Unreadable(NOT_UTF8)
    except OverflowError:
        return Unreadable(OUT_OF_RANGE)


def _values(array: pa.Array) -> list[Any]:
    for is_kind, convert in _KINDS:
        if is_kind(array.type):
            return convert(array)
    values: list[Any] = array.to_pylist()
    return values


def _texts(array: pa.Array) -> list[Any]:
    try:
        # Arrow converts the whole column at once here, several times as fast as to_pylist.
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    except (UnicodeDecodeError, pa.ArrowException):
        values = array.to_pylist()  # raises UnicodeDecodeError if a text is not UTF-8
    return values


def _floats(array: pa.Array) -> list[Any]:
    """Return the shortest decimal of each 32-bit float: 0.1, not 0.10000000149011612."""
    values: list[Any] = pc.cast(pc.cast(array, pa.string()), pa.float64()).to_pylist()
    return values


def _timestamps(array: pa.Array) -> list[Any]:
    # Arrow stores moments in UTC; the type's time zone only matters for their text.
    values: list[Any] = array.cast(pa.timestamp("us", "UTC")).to_pylist()
    return values


def _times(array: pa.Array) -> list[Any]:
    values: list[Any] = array.cast(pa.time64("us")).to_pylist()
    return values


def _lists(array: pa.Array) -> list[Any]:
    items = iter(_values(array.flatten()))
    return [None if n is None else list(islice(items, n)) for n in _lengths(array)]


def _maps(array: pa.Array) -> list[Any]:
    kind = array.type
    listed = array.view(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    keys, values = (_values(side) for side in listed.flatten().flatten())
    if not _is_text(kind.key_type):
        keys = [map_key_text(key) for key in keys]
    entries = zip(keys, values, strict=True)
    return [None if n is None else dict(islice(entries, n)) for n in _lengths(listed)]


def _lengths(array: pa.Array) -> Iterator[int | None]:
    lengths: list[int | None] = pc.list_value_length(array).to_pylist()
    return iter(lengths)


def _structs(array: pa.Array) -> list[Any]:
    names = [field.name for field in array.type]
    fields = [_values(field) for field in array.flatten()]
    rows = zip(*fields, strict=True) if fields else ((),) * len(array)
    validity = array.is_valid().to_pylist()
    return [
        Struct(zip(names, row, strict=True)) if is_valid else None
        for row, is_valid in zip(rows, validity, strict=True)
    ]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]], ...] = (
    (_is_text, _texts),
    (pa.types.is_float32, _floats),
    (_is_moment, _timestamps),
    (pa.types.is_time64, _times),
    (pa.types.is_map, _maps),
    (_is_list, _lists),
    (pa.types.is_struct, _structs),
)


_LARGE = {pa.large_string().id, pa.large_binary().id}


def flat_bytes(array: pa.Array) -> memoryview:
    """Return the bytes of a column's texts or binaries, one after the other, without a copy."""
    if not len(array):
        return memoryview(b"")
    offsets = offsets_of(array)
    return memoryview(array.buffers()[2] or b"")[int(offsets[0]) : int(offsets[-1])]


def offsets_of(array: pa.Array) -> npt.NDArray[Any]:
    """Return the offsets at which a column's texts or binaries begin, and where the last one ends.

    The offsets are those of Arrow's buffer: the first is not 0 in a slice. Rows + 1 of them.
    """
    width = np.int64 if array.type.id in _LARGE else np.int32
    offsets = np.frombuffer(array.buffers()[1], width)
    return offsets[array.offset : array.offset + len(array) + 1]
