"""Find the rows that are not what they seem: without a key, not parsed, or not decoded.

Spark makes a row of every line that it reads. A line that is no JSON becomes a row of nulls, and a
byte that is not in the file's encoding becomes the character U+FFFD. Such rows would be asked, or
be taken for rows with one key. Here they are rejected, each with its own reason. The checks are on
whole columns of a batch, without a loop over rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.utf8 import is_utf8
from bedrock_spark.templates.body_template import RowRejected

NO_KEY = "is null, so the row has no key"
KEY_NOT_UTF8 = "is not UTF-8, so it cannot be a key"
NOT_PARSED = "holds a record that Spark could not parse: its other columns are null"
NOT_DECODED = (
    "has U+FFFD in place of bytes that are not UTF-8; set source.options.encoding, such as "
    "ISO-8859-1, or UTF-8 if the file itself has this character"
)
_REPLACEMENT = "\ufffd"

_Mask = npt.NDArray[np.bool_]


def damaged_rows(batch: pa.RecordBatch, columns: SourceColumns) -> dict[int, RowRejected]:
    """Return why a row is damaged, by row number. A row that is not in it is not damaged."""
    rejected: dict[int, RowRejected] = {}
    for mask, column, reason in _found(batch, columns):
        for row in np.flatnonzero(mask).tolist():
            rejected.setdefault(row, RowRejected(column, reason))
    return rejected


def _found(batch: pa.RecordBatch, columns: SourceColumns) -> Iterator[tuple[_Mask, str, str]]:
    """Yield the rows of each kind of damage, with the column and the reason; causes come first."""
    if columns.corrupt is not None:
        yield _as_mask(batch.column(columns.corrupt).is_valid()), columns.corrupt, NOT_PARSED
    keys = {name: batch.column(name) for name in columns.key}
    if keys and all(key.null_count for key in keys.values()):
        nulls = [_as_mask(key.is_null()) for key in keys.values()]
        yield np.logical_and.reduce(nulls), ", ".join(keys), NO_KEY
    for name, key in keys.items():
        if _is_text(key) and not is_utf8(key):
            yield _not_utf8(key), name, KEY_NOT_UTF8
    for name in columns.decoded:
        text = batch.column(name)
        if _is_text(text):
            is_replaced = pc.fill_null(pc.match_substring(text, _REPLACEMENT), False)
            yield _as_mask(is_replaced), name, NOT_DECODED


def _not_utf8(texts: pa.Array) -> _Mask:
    rows = (not is_utf8(texts.slice(row, 1)) for row in range(len(texts)))
    return np.fromiter(rows, np.bool_, len(texts))


def _as_mask(values: pa.Array) -> _Mask:
    mask: _Mask = values.to_numpy(zero_copy_only=False)
    return mask


def _is_text(column: pa.Array) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))
