"""The texts of an Arrow column: their bytes as they lie in memory, and as JSON writes them.

A whole column is worked on at once and no text becomes one of Python's, which would cost more than
the work itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
