"""Cut all 64-bit hashes into parts of equal ranges, in the order of signed numbers.

A part's number is its hash, counted from the lowest one, times the number of parts, divided by
2^64. The upper 32 bits of the hash decide, so that Spark can compute it with bigints.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_PARTS = 1 << 20
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_BITS = 32


def part_of(hashes: npt.NDArray[np.int64], parts: int) -> npt.NDArray[np.int64]:
    """Return the part of each hash, from 0 to `parts` - 1; at most MOST_PARTS."""
    upper = (hashes >> _BITS) + (1 << (_BITS - 1))
    return upper * parts >> _BITS


def range_of(part: int, parts: int) -> tuple[int, int]:
    """Return the lowest and the highest hash of a part, both included."""
    return _start(part, parts), _start(part + 1, parts) - 1


def _start(part: int, parts: int) -> int:
    # The lowest upper half u with u * parts >> 32 == part.
    upper = -(-(part << _BITS) // parts)
    return _LOWEST + (upper << _BITS)
