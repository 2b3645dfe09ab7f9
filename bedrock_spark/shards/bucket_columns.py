"""Compute the buckets of many records at once: `bucket_of` in buckets.py, with NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SEED = np.uint32(42)
_LOW_WORD = np.uint64(0xFFFFFFFF)
# MurmurHash3 mixes the length of its input into the hash: a bigint has 8 bytes.
_BIGINT_BYTES = np.uint32(8)


def buckets_of(hashes: npt.NDArray[np.int64], buckets: int) -> npt.NDArray[np.int64]:
    """Return the index of the bucket of each plain id, by its hash; `bucket_of` for arrays."""
    words = hashes.view(np.uint64)
    state = np.full(len(words), _SEED, np.uint32)
    for word in (words & _LOW_WORD, words >> np.uint64(32)):
        mixed = _rotated(word.astype(np.uint32) * np.uint32(0xCC9E2D51), 15)
        state = _rotated(state ^ mixed * np.uint32(0x1B873593), 13) * np.uint32(5)
        state += np.uint32(0xE6546B64)
    state ^= _BIGINT_BYTES
    state = (state ^ state >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    state = (state ^ state >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    state ^= state >> np.uint32(16)
    return state.view(np.int32).astype(np.int64) % buckets


def _rotated(words: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.uint32]:
    return words << np.uint32(bits) | words >> np.uint32(32 - bits)
