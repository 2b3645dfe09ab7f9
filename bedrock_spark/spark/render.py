"""Render the rows of a batch to JSONL lines, whole columns at a time where that can be done."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from bedrock_spark import limits, record_ids
from bedrock_spark.shard_lines import END, HEAD, MIDDLE
from bedrock_spark.templates import BodyTemplate, RowRejected

_BODY_AT = len(HEAD) + record_ids.LENGTH + len(MIDDLE)
ANY_ID = "0" * record_ids.LENGTH


def body_of(line: bytes) -> bytes:
    """Return the body in a line."""
    return line[_BODY_AT : -len(END)]


def render_lines(
    ids: list[str], columns: dict[str, list[Any]], template: BodyTemplate, max_bytes: int
) -> tuple[list[bytes | None], dict[int, RowRejected]]:
    """Return a JSONL line per row, None where it was rejected, and the rejections by row number."""
    pieces = template.pieces(columns)
    if pieces is not None:
        encoded = [i.encode() for i in ids]
        fragments = zip(repeat(HEAD), encoded, repeat(MIDDLE), *pieces, repeat(END), strict=False)
        together = list(map(b"".join, fragments))
        if max(map(len, together), default=0) <= min(max_bytes, limits.MAX_BODY_BYTES):
            return [*together], {}
    return _render_one_by_one(ids, columns, template, max_bytes)


def _render_one_by_one(
    ids: list[str], columns: dict[str, list[Any]], template: BodyTemplate, max_bytes: int
) -> tuple[list[bytes | None], dict[int, RowRejected]]:
    lines: list[bytes | None] = []
    rejected: dict[int, RowRejected] = {}
    names = tuple(columns)
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        try:
            body = template.render(dict(zip(names, values, strict=True)))
            lines.append(_line(ids[i], body, max_bytes))
        except RowRejected as reject:
            lines.append(None)
            rejected[i] = reject
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
