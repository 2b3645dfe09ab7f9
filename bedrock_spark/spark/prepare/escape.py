"""Escape texts for JSON strings, all texts of a column at once.

The texts of a column follow each other in memory. So the escapes are written by one replacement per
character that needs one, over the bytes of all texts. A text then begins later by what the escapes
before it add.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of

# The lines of a batch may exceed 2 GB together, so their offsets have 64 bits.
LINES = pa.large_binary()

_BACKSLASH, _QUOTE, _SPACE = ord("\\"), ord('"'), ord(" ")
# The JSON escape, as msgspec writes it, of each character that a JSON string cannot hold unescaped.
# The backslash is first, because the other escapes contain one.
_ESCAPES = {
    code: msgspec.json.encode(chr(code))[1:-1] for code in (_BACKSLASH, _QUOTE, *range(_SPACE))
}
_ADDED_BYTES = np.array([len(_ESCAPES.get(code, b".")) - 1 for code in range(256)], np.int64)


def as_lines(texts: pa.Array) -> pa.Array:
    """Return texts as the type LINES, with their own bytes. texts: string or large_string."""
    offsets = offsets_of(texts).astype(np.int64, copy=False)
    buffers = [_validity(texts), pa.py_buffer(offsets), texts.buffers()[2]]
    return pa.Array.from_buffers(LINES, len(texts), buffers)


def escaped(texts: pa.Array) -> pa.Array:
    """Return texts, which must be UTF-8, escaped for a JSON string, without the quotes.

    texts: string or large_string; the result has the type LINES, null for a null
    """
    data, offsets = bytes(flat_bytes(texts)), offsets_of(texts).astype(np.int64)
    offsets -= offsets[0]
    codes = np.frombuffer(data, np.uint8)
    # Control characters and the quote in one comparison: "exclusive or 2" maps the quote (34) to 32
    # and the space to 34, and the control characters onto each other.
    is_escaped = (codes ^ 2) <= _SPACE
    if _BACKSLASH in data:
        is_escaped |= codes == _BACKSLASH
    places = np.flatnonzero(is_escaped)
    if len(places):
        found = codes[places]
        data = _replaced(data, found)
        added = np.concatenate(([0], np.cumsum(_ADDED_BYTES[found])))
        offsets += added[places.searchsorted(offsets)]
    buffers = [_validity(texts), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(LINES, len(texts), buffers)


def _replaced(data: bytes, found: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes with an escape for each of these characters."""
    counts = np.bincount(found, minlength=256)
    for code, escape in _ESCAPES.items():
        if counts[code]:
            data = data.replace(bytes((code,)), escape)
    return data


def _validity(texts: pa.Array) -> pa.Buffer | None:
    """Return a bitmap of the texts that are not null, which begins with the first text."""
    if not texts.null_count:
        return None
    is_valid = texts.is_valid().to_numpy(zero_copy_only=False)
    return pa.py_buffer(np.packbits(is_valid, bitorder="little"))
