"""Tell whether texts are UTF-8: in the JVM, a text may hold any bytes.

Arrow looks at each character that is not ASCII, one after the other. Most texts of Latin, Cyrillic,
Greek, Arabic or Hebrew letters have no character of more than two bytes. Those are checked by a
few comparisons of whole arrays, in a third of the time; Arrow decides about all others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of

# These bytes and three arrays of the same size stay in the processor's cache.
_BLOCK_BYTES = 131_072
# Bytes below are ASCII. From the second number on, a byte begins a character of three bytes or
# more, or is in no text.
_ASCII_END, _THREE_BYTES = 0x80, 0xE0
# "Exclusive or" with the first number maps the bytes that begin a character of two bytes to 2 to
# 31, the two that only look so to 0 and 1, bytes inside of a character to 64 to 127, and ASCII to
# 128 and more.
_MIXED, _LEAST_BEGIN, _LEAST_INSIDE, _LEAST_ASCII = 0xC0, 2, 64, 128

_Bytes = npt.NDArray[np.uint8]


def is_utf8(texts: pa.Array) -> bool:
    """Tell whether all texts are valid UTF-8. texts: string or large_string."""
    return _has_short_characters(texts) or _is_utf8_by_arrow(texts)


def _is_utf8_by_arrow(texts: pa.Array) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _has_short_characters(texts: pa.Array) -> bool:
    """Tell whether all texts are valid and have no character of more than two bytes.

    The bytes that a null may have count, too: if they are not so, this is False.
    """
    data, offsets = np.frombuffer(flat_bytes(texts), np.uint8), offsets_of(texts)
    if not len(data):
        return True
    if data[-1] ^ _MIXED < _LEAST_INSIDE or not _are_pairs(data):
        return False
    first_bytes = data[offsets[offsets < offsets[-1]] - offsets[0]] ^ _MIXED
    is_inside = (first_bytes >= _LEAST_INSIDE) & (first_bytes < _LEAST_ASCII)
    return not is_inside.any()


def _are_pairs(data: _Bytes) -> bool:
    """Tell whether each byte that begins a character of two bytes is before one inside of it.

    And no other byte is, and no character has more bytes. The first byte and the last one have only
    one neighbour.
    """
    size = min(len(data), _BLOCK_BYTES)
    mixed, begins, inside = np.empty(size, np.uint8), np.empty(size, bool), np.empty(size, bool)
    # Each block begins with the last byte of the one before.
    for start in range(0, len(data), size - 1 or 1):
        block = data[start : start + size]
        most = block.max()
        if most < _ASCII_END:
            continue  # found out in a tenth of the time
        count = len(block)
        of_block = np.bitwise_xor(block, _MIXED, out=mixed[:count])
        if most >= _THREE_BYTES or of_block.min() < _LEAST_BEGIN:
            return False
        np.less(of_block, _LEAST_INSIDE, out=begins[:count])
        # As signed numbers, ASCII is below 0.
        np.greater_equal(of_block.view(np.int8), _LEAST_INSIDE, out=inside[:count])
        if (begins[: count - 1] != inside[1:count]).any():
            return False
    return True
