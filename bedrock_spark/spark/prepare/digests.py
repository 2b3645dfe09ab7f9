"""SHA-256 digests as bytes, from their hexadecimal text: a column at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.spark.prepare.arrow_columns import flat_bytes

SHA256 = pa.binary(32)
_NONE = "0" * 64
# The value of each hexadecimal digit, by its ASCII code.
_DIGITS = np.zeros(256, np.uint8)
_DIGITS[list(b"0123456789abcdef")] = range(16)


def digest_column(texts: pa.Array) -> pa.Array:
    """Return digests of 64 hexadecimal digits as 32 bytes each; null for a null."""
    digits = _DIGITS[np.frombuffer(flat_bytes(pc.fill_null(texts, _NONE)), np.uint8)]
    data = pa.py_buffer((digits[0::2] << 4) | digits[1::2])
    digests = pa.Array.from_buffers(SHA256, len(texts), [None, data])
    if not texts.null_count:
        return digests
    return pc.if_else(pc.is_valid(texts), digests, pa.scalar(None, SHA256))
