"""Render the rows of a batch to JSONL lines: column by column if possible, else row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark import limits
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.lines import END, HEAD, MIDDLE
from bedrock_spark.spark.prepare.arrow_columns import column_values, offsets_of
from bedrock_spark.spark.prepare.escape import LINES, as_lines, escaped
from bedrock_spark.spark.prepare.utf8 import is_utf8
from bedrock_spark.templates.body_template import BodyTemplate, Hole, RowRejected
from bedrock_spark.templates.text_check import TextCheck

_BODY_START = len(HEAD) + record_ids.LENGTH + len(MIDDLE)
# The memory of a slice of about 2 MB stays in the processor's cache, and is used again for the
# next one (worker_process.py, docs/performance.md).
_SLICE_BYTES = 2_000_000
_NO_SEPARATOR = pa.scalar(b"", LINES)
# For lines that are rendered only for their bodies.
ANY_ID = "0" * record_ids.LENGTH


def slices_in_cache(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in slices that are rendered faster than the whole."""
    slices = max(1, round(batch.nbytes / _SLICE_BYTES))
    rows = max(1, -(-batch.num_rows // slices))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def body_of(line: bytes) -> bytes:
    """Return the body in a line."""
    return line[_BODY_START : -len(END)]


def render_lines(
    ids: pa.Array, batch: pa.RecordBatch, template: BodyTemplate, max_bytes: int
) -> tuple[pa.Array, dict[int, RowRejected]]:
    """Return a JSONL line per row, null if it is rejected, and the rejections by row number.

    max_bytes: the most bytes of a line
    """
    lines = _render_columns(ids, batch, template)
    if lines is None:
        all_rows = range(batch.num_rows)
        row_lines, rejected = _render_rows(ids, batch, all_rows, template, max_bytes)
        return pa.array(row_lines, LINES), rejected
    # Rows with a null may be rejected or have a default, long lines may be too long: row by row.
    longest = min(max_bytes, limits.MAX_BODY_BYTES)
    sizes = np.diff(offsets_of(lines))
    is_doubtful = sizes > longest
    if lines.null_count:
        is_doubtful |= _as_mask(lines.is_null())
    for check in template.checks:
        for is_refused in _refused_texts(batch, check, int(sizes.max(initial=0))):
            is_doubtful |= _as_mask(is_refused)
    rows = np.flatnonzero(is_doubtful).tolist()
    if not rows:
        return lines, {}
    row_lines, rejected = _render_rows(ids, batch, rows, template, max_bytes)
    rendered = pa.array(row_lines, LINES)
    return pc.replace_with_mask(lines, pa.array(is_doubtful), rendered), rejected


def _as_mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return mask


def _render_columns(
    ids: pa.Array, batch: pa.RecordBatch, template: BodyTemplate
) -> pa.Array | None:
    """Return the lines of all rows, null for a row with a null in the template's columns.

    None if the rows must be rendered one by one: the template has fields or expressions, or a
    column has a type whose JSON form Arrow cannot write.
    """
    if template.holes is None:
        return None
    fragments: list[bytes | pa.Array] = [HEAD, as_lines(ids), MIDDLE]
    for hole in template.holes:
        if isinstance(hole, bytes):
            fragments.append(hole)
            continue
        values = _value_fragments(batch.column(hole.column), hole)
        if values is None:
            return None
        fragments += values
    fragments.append(END)
    return pc.binary_join_element_wise(*_joined_literals(fragments), _NO_SEPARATOR)


def _joined_literals(fragments: list[bytes | pa.Array]) -> Iterator[pa.Array | pa.Scalar]:
    """Yield the fragments, and literals that follow each other as one: each costs time per row."""
    for is_literal, group in groupby(fragments, lambda fragment: isinstance(fragment, bytes)):
        if is_literal:
            yield pa.scalar(b"".join(group), LINES)
        else:
            yield from group


def _refused_texts(batch: pa.RecordBatch, check: TextCheck, longest: int) -> Iterator[pa.Array]:
    """Yield which rows make a text that is too long or blank: rendered one by one, each says why.

    longest: the bytes of the longest line; no text of a line has more characters
    """
    columns = [batch.column(name) for name in check.columns or ()]
    texts = [column for column in columns if _is_text(column)]
    most = check.max_characters
    if most is not None and longest > most:
        lengths = [pc.utf8_length(c if _is_text(c) else c.cast(pa.string())) for c in columns]
        characters = reduce(pc.add, (pc.cast(n, pa.int64()) for n in lengths))
        characters = pc.add(characters, check.literal_characters)
        yield pc.fill_null(pc.greater(characters, most), True)
    if check.may_be_blank and len(texts) == len(columns):
        # utf8_is_space looks no further than the first character that is none.
        blank = (pc.or_(pc.utf8_is_space(c), pc.equal(pc.binary_length(c), 0)) for c in texts)
        yield pc.fill_null(reduce(pc.and_, blank), True)


def _is_text(column: pa.Array) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _value_fragments(column: pa.Array, hole: Hole) -> list[bytes | pa.Array] | None:
    """Return the JSON of a column's values; None if Arrow cannot write it as templates do."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return [column.cast(pa.string()).cast(LINES)]
    if not _is_text(column) or not is_utf8(column):
        return None
    texts = escaped(column)
    return [texts] if hole.in_text else [b'"', texts, b'"']


def _render_rows(
    ids: pa.Array,
    batch: pa.RecordBatch,
    rows: Sequence[int],
    template: BodyTemplate,
    max_bytes: int,
) -> tuple[list[bytes | None], dict[int, RowRejected]]:
    """Return a line for each of these rows, and the rejections by the batch's row numbers."""
    names = template.columns
    needed = batch.select(list(names))
    if len(rows) < batch.num_rows:
        needed = needed.take(pa.array(rows, pa.int64()))
    columns = [column_values(column) for column in needed.columns]
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
