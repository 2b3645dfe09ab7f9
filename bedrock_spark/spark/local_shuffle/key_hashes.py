"""The hashes of keys as Spark computes them (prepare/columns.py), without Spark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from bedrock_spark.shards.record_ids import SEED, joined_key
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes
from bedrock_spark.spark.prepare.utf8 import is_utf8

_NULL = b"null"
_BACKSLASH, _QUOTE, _SPACE = ord("\\"), ord('"'), ord(" ")
_AS_TEXT = (
    *(pa.types.is_string, pa.types.is_boolean, pa.types.is_date32),
    *(pa.types.is_int8, pa.types.is_int16, pa.types.is_int32, pa.types.is_int64),
)


def is_hashed(kind: pa.DataType) -> bool:
    """Tell whether the text of a key of this type is the same here as in Spark."""
    return any(is_kind(kind) for is_kind in _AS_TEXT) or _is_moment(kind)


def key_hashes(columns: Sequence[pa.Array]) -> npt.NDArray[np.int64]:
    """Return the hash of each row's key.

    columns: of the key, of types for which `is_hashed` is true
    Raises NeedsSparkError for texts that Spark may write otherwise.
    """
    values = [_json_texts(column) for column in columns]
    if len(values) == 1:
        texts = [b"[%b]" % value for value in values[0]]
    else:
        texts = [b"[%b]" % b",".join(row) for row in zip(*values, strict=True)]
    digests = [xxhash.xxh64_intdigest(text, SEED) for text in texts]
    return np.array(digests, np.uint64).view(np.int64)


def _json_texts(column: pa.Array) -> list[bytes]:
    """Return the JSON of each value's text."""
    if _is_moment(column.type):
        # Microseconds since the epoch: the text of a moment depends on the time zone.
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    texts = column.cast(pa.string())
    if not is_utf8(texts):
        raise NeedsSparkError("a text of the key is not UTF-8")
    codes = np.frombuffer(flat_bytes(texts), np.uint8)
    if len(codes) and codes.min() < _SPACE:
        raise NeedsSparkError("a text of the key has a control character")
    values = texts.cast(pa.binary()).to_pylist()
    if (codes == _QUOTE).any() or (codes == _BACKSLASH).any():
        texts = (None if value is None else value.decode() for value in values)
        return [joined_key([text]).encode()[1:-1] for text in texts]
    return [_NULL if value is None else b'"%b"' % value for value in values]


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)
