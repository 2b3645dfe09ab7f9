"""Render the rows of a batch to JSONL lines, whole columns at a time where that can be done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark import limits
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.lines import END, HEAD, MIDDLE
from bedrock_spark.spark.prepare.arrow_columns import column_values, escaped, is_utf8
from bedrock_spark.templates.body_template import BodyTemplate, Hole, RowRejected

_BODY_AT = len(HEAD) + record_ids.LENGTH + len(MIDDLE)
ANY_ID = "0" * record_ids.LENGTH
# Lines may be many megabytes each, so their places are counted with 64 bits.
LINES = pa.large_binary()


def body_of(line: bytes) -> bytes:
    """Return the body in a line."""
    return line[_BODY_AT : -len(END)]


def render_lines(
    ids: pa.Array, batch: pa.RecordBatch, template: BodyTemplate, max_bytes: int
) -> tuple[pa.Array, dict[int, RowRejected]]:
    """Return a JSONL line per row, null where it was rejected, and the rejections by row number."""
    lines = _render_at_once(ids, batch, template)
    if lines is None:
        every = range(batch.num_rows)
        made, rejected = _render_one_by_one(ids, batch, every, template, max_bytes)
        return pa.array(made, LINES), rejected
    longest = min(max_bytes, limits.MAX_BODY_BYTES)
    doubtful = pc.fill_null(pc.greater(pc.binary_length(lines), longest), True)
    rows = np.flatnonzero(doubtful.to_numpy(zero_copy_only=False)).tolist()
    if not rows:
        return lines, {}
    made, rejected = _render_one_by_one(ids, batch, rows, template, max_bytes)
    return pc.replace_with_mask(lines, doubtful, pa.array(made, LINES)), rejected


def _render_at_once(
    ids: pa.Array, batch: pa.RecordBatch, template: BodyTemplate
) -> pa.Array | None:
    """Return the lines as they are where no value is null; those of a null are null.

    None where every row must be looked at: fields, expressions, values that are no plain ones.
    """
    if template.holes is None:
        return None
    parts: list[bytes | pa.Array] = [HEAD, ids.cast(LINES), MIDDLE]
    for part in template.holes:
        if isinstance(part, bytes):
            parts.append(part)
            continue
        fragments = _fragments(batch.column(part.column), part)
        if fragments is None:
            return None
        parts += fragments
    parts.append(END)
    between_them = pa.scalar(b"", LINES)
    scalars = (pa.scalar(p, LINES) if isinstance(p, bytes) else p for p in parts)
    return pc.binary_join_element_wise(*scalars, between_them)


def _fragments(column: pa.Array, hole: Hole) -> list[bytes | pa.Array] | None:
    """Return what stands in a hole, or None where the type's form is not Arrow's own."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return [column.cast(pa.string()).cast(LINES)]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or not is_utf8(column):
        return None
    texts = escaped(column).cast(LINES)
    return [texts] if hole.in_text else [b'"', texts, b'"']


def _render_one_by_one(
    ids: pa.Array,
    batch: pa.RecordBatch,
    rows: Sequence[int],
    template: BodyTemplate,
    max_bytes: int,
) -> tuple[list[bytes | None], dict[int, RowRejected]]:
    """Return a line for each of these rows, and the rejections by the batch's row numbers."""
    names = template.columns
    wanted = batch.select(list(names))
    if len(rows) < batch.num_rows:
        wanted = wanted.take(pa.array(rows, pa.int64()))
    columns = [column_values(column) for column in wanted.columns]
    lines: list[bytes | None] = []
    rejected: dict[int, RowRejected] = {}
    for row, *values in zip(rows, *columns, strict=True):
        try:
            body = template.render(dict(zip(names, values, strict=True)))
            lines.append(_line(ids[row].as_py(), body, max_bytes))
        except RowRejected as reject:
            lines.append(None)
            rejected[row] = reject
    return lines, rejected


def _line(record_id: str, body: bytes, max_bytes: int) -> bytes:
    if len(body) > limits.MAX_BODY_BYTES:
        raise RowRejected(
            "request", f"makes a body of {len(body)} bytes; a model takes {limits.MAX_BODY_BYTES}"
        )
    line = b"".join((HEAD, record_id.encode(), MIDDLE, body, END))
    if len(line) > max_bytes:
        raise RowRejected(
            "request", f"makes a record of {len(line)} bytes; shards.max_bytes is {max_bytes}"
        )
    return line
