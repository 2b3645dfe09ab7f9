"""The reconciliation of a run as one table: a row per shard, per bucket of rejects, and per job.

Every collect writes it again, so that users can query one table and need not read a file per shard.
docs/run-folder.md explains the columns.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.outputs.outcomes import (
    ERROR,
    INVALID,
    MISSING,
    OK,
    REFUSED,
    REJECTED,
    TRUNCATED,
    UNFOUND,
)
from bedrock_spark.outputs.reconcile import BAD
from bedrock_spark.outputs.reconciled_shard import CollectedJob, ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import Storage

SHARD, REJECTS, KEPT, JOB = "shard", "rejects", "kept", "job"
_TEXT = ("kind", "unit", "job_name", "job_arn", "status")
_OUTCOMES = (OK, ERROR, MISSING, UNFOUND, INVALID, TRUNCATED, REFUSED, REJECTED)
_NUMBERS = (
    *("attempt", "rows", *_OUTCOMES, "unanswered", "findings"),
    *("lines_ok", "lines_error", "lines_bad", "job_ok", "job_error"),
    *("input_tokens", "output_tokens", "images"),
)
_TIMES = ("submitted_at", "ended_at")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        *((name, pa.int64()) for name in _NUMBERS),
        *((name, pa.timestamp("us", "UTC")) for name in _TIMES),
    ]
)


# The rows of one row group, and those that are in memory at a time.
_ROWS = 5_000


def write_reconciliation(
    storage: Storage, reconciled: Iterable[ReconciledShard], jobs: Mapping[str, Job]
) -> None:
    """Write reconciliation.parquet into the run folder: each unit, and after it its jobs."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as table:
        for rows in _batches(_rows(reconciled, jobs), _ROWS):
            table.write_table(pa.Table.from_pylist(rows, SCHEMA))
    storage.write(layout.RECONCILIATION_FILE, sink.getvalue())


def _rows(
    reconciled: Iterable[ReconciledShard], jobs: Mapping[str, Job]
) -> Iterator[dict[str, Any]]:
    by_shard: dict[str, list[Job]] = {}
    for job in sorted(jobs.values(), key=lambda job: (job.shard_id, job.attempt)):
        by_shard.setdefault(job.shard_id, []).append(job)
    for unit in reconciled:
        yield _unit_row(unit)
        outputs = {output.job_id: output for output in unit.jobs}
        yield from (_job_row(job, outputs) for job in by_shard.pop(unit.unit, ()))
    for rest in by_shard.values():
        yield from (_job_row(job, {}) for job in rest)


def _batches(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, size)):
        yield batch


def _unit_row(unit: ReconciledShard) -> dict[str, Any]:
    return {
        "kind": _kind(unit),
        "unit": unit.unit,
        "rows": unit.rows,
        **{name: unit.outcomes.get(name, 0) for name in _OUTCOMES},
        "unanswered": unit.unanswered,
        "findings": sum(finding.count for finding in unit.findings),
        **_lines(unit.lines),
        "input_tokens": unit.tokens.get("input", 0),
        "output_tokens": unit.tokens.get("output", 0),
        "images": unit.manifest_tokens.get("images", 0),
    }


def _kind(unit: ReconciledShard) -> str:
    if layout.is_kept_unit(unit.unit):
        return KEPT
    return REJECTS if REJECTED in unit.outcomes else SHARD


def _job_row(job: Job, outputs: Mapping[str, CollectedJob]) -> dict[str, Any]:
    seen = job.seen
    row: dict[str, Any] = {
        "kind": JOB,
        "unit": job.shard_id,
        "job_name": job.job_name,
        "attempt": job.attempt,
    }
    if seen is None:
        return row
    output = outputs.get(seen.job_id)
    return row | {
        "job_arn": seen.job_arn,
        "status": seen.status,
        **_lines(output.lines if output else {}),
        "job_ok": seen.succeeded,
        "job_error": seen.failed,
        "input_tokens": output.input_tokens if output else None,
        "output_tokens": output.output_tokens if output else None,
        "images": output.images if output else None,
        "submitted_at": _timestamp(seen.submitted_at),
        "ended_at": _timestamp(seen.ended_at),
    }


def _lines(lines: Mapping[str, int]) -> dict[str, int]:
    return {f"lines_{kind}": lines.get(kind, 0) for kind in (OK, ERROR, BAD)}


def _timestamp(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
