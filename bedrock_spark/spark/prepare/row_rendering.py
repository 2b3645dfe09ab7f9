"""Render some rows as prepare does, and show their values. Needs no Spark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.lines import ShardLine, read_line
from bedrock_spark.spark.prepare.arrow_columns import column_values
from bedrock_spark.spark.prepare.damage import damaged_rows
from bedrock_spark.spark.prepare.media_batches import open_objects, with_media
from bedrock_spark.spark.prepare.render import ANY_ID, render_lines
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.templates.json_values import Unreadable

# A longer text of a row is cut: a row may hold a whole document.
_MAX_CHARACTERS = 500


@dataclass(frozen=True)
class RenderedRow:
    """One row. line: None if the row is rejected, and then `reason` says why.

    row: its kept columns as plain values, long texts cut
    """

    row: dict[str, Any]
    line: ShardLine | None
    reason: str | None


def read_rendered(made: Iterable[tuple[bytes | None, str | None, str]]) -> list[RenderedRow]:
    """Return what RenderRows has made: of each row its line, reason and values as JSON."""
    return [
        RenderedRow(
            json.loads(values), read_line(bytes(line)) if line is not None else None, reason
        )
        for line, reason, values in made
    ]


@dataclass(frozen=True)
class RenderRows:
    """Render rows to lines; a Python worker does it. The id in every line is the same."""

    config: Config
    columns: SourceColumns
    aws: AwsSettings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield for each row its line or the reason why it has none, and its values as JSON."""
        with open_objects(self.aws) as objects:
            template = body_template(self.config, objects.fetch)
            for batch in batches:
                for part in with_media(batch, template, objects):
                    damaged = damaged_rows(part, self.columns)
                    ids = pa.repeat(ANY_ID, part.num_rows)
                    max_bytes = self.config.shards.max_bytes
                    lines, rejected = render_lines(ids, part, template, max_bytes)
                    reasons = {**rejected, **damaged}
                    why = [reasons.get(row) for row in range(part.num_rows)]
                    # As templates have them: not in the time zone of this session.
                    names = self.columns.kept
                    values = (column_values(part.column(name)) for name in names)
                    kept = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
                    written = zip(lines.to_pylist(), why, strict=True)
                    made = [
                        [line if reason is None else None for line, reason in written],
                        [None if each is None else f"{each.column} {each.reason}" for each in why],
                        [json.dumps(_shown(row), ensure_ascii=False) for row in kept],
                    ]
                    kinds = pa.binary(), pa.string(), pa.string()
                    arrays = [pa.array(v, kind) for v, kind in zip(made, kinds, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, ["line", "reason", "row_values"])


def _shown(value: Any) -> Any:
    """Return a value of Arrow as JSON has it; a long text is cut, and bytes are counted."""
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, Unreadable):
        return value.reason
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, (bool, int, float)):
        return value
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat is not None else str(value)
