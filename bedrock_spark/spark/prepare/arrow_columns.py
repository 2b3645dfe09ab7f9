"""The values of an Arrow column as Python's own, by the column's type and not by guess.

Arrow's own to_pylist makes a map a list of tuples and a float more digits than it has, depends on
the session's time zone, and gives up a whole batch for one text that is not UTF-8. Here a value
that Python cannot hold becomes an Unreadable in its own row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.templates.json_values import NOT_UTF8, Struct, Unreadable, Unrenderable, key_text

OUT_OF_RANGE = "holds a date or time outside of the years 1 to 9999"


def column_values(column: pa.Array) -> list[Any]:
    """Return the values of a column as a template takes them. Never raises for what is in it."""
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
        # Arrow makes the texts in one go this way, several times as fast as one by one.
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    except (UnicodeDecodeError, pa.ArrowException):
        values = array.to_pylist()  # says what is wrong
    return values


def _floats(array: pa.Array) -> list[Any]:
    """Return the shortest numbers that are these floats: 0.1, not 0.10000000149011612."""
    values: list[Any] = pc.cast(pc.cast(array, pa.string()), pa.float64()).to_pylist()
    return values


def _timestamps(array: pa.Array) -> list[Any]:
    # The same moments: Arrow keeps them in UTC, and only their text has the session's time zone.
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
        keys = [key_text(key) for key in keys]
    entries = zip(keys, values, strict=True)
    return [None if n is None else dict(islice(entries, n)) for n in _lengths(listed)]


def _lengths(array: pa.Array) -> Iterator[int | None]:
    lengths: list[int | None] = pc.list_value_length(array).to_pylist()
    return iter(lengths)


def _structs(array: pa.Array) -> list[Any]:
    names = [field.name for field in array.type]
    fields = [_values(field) for field in array.flatten()]
    rows = zip(*fields, strict=True) if fields else ((),) * len(array)
    present = array.is_valid().to_pylist()
    return [
        Struct(zip(names, row, strict=True)) if here else None
        for row, here in zip(rows, present, strict=True)
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

_BACKSLASH, _QUOTE, _SPACE = ord("\\"), ord('"'), ord(" ")
# How JSON writes each character that cannot stand in a text as it is; msgspec says it.
_ESCAPES = {
    code: msgspec.json.encode(chr(code))[1:-1].decode()
    for code in (_BACKSLASH, _QUOTE, *range(_SPACE))
}


def flat_bytes(array: pa.Array) -> memoryview:
    """Return what lies behind the texts or bytes of a column, one after the other, not copied."""
    if not len(array):
        return memoryview(b"")
    offsets = offsets_of(array)
    return memoryview(array.buffers()[2] or b"")[int(offsets[0]) : int(offsets[-1])]


def offsets_of(array: pa.Array) -> npt.NDArray[Any]:
    """Return where each text or bytes of a column begins, and where the last one ends."""
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    offsets = np.frombuffer(array.buffers()[1], np.int64 if wide else np.int32)
    return offsets[array.offset : array.offset + len(array) + 1]


def is_utf8(texts: pa.Array) -> bool:
    """Tell whether all texts are what they should be: the JVM lets any bytes pass for a text."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def escaped(texts: pa.Array) -> pa.Array:
    """Return texts, which must be UTF-8, as they stand between the quotes of a JSON string."""
    codes = np.frombuffer(flat_bytes(texts), np.uint8)
    found = [code for code in (_BACKSLASH, _QUOTE) if (codes == code).any()]
    is_control = codes < _SPACE
    if is_control.any():
        found += np.unique(codes[is_control]).tolist()
    for code in found:  # the backslash first: the others' escapes have one
        texts = pc.replace_substring(texts, chr(code), _ESCAPES[code])
    return texts
