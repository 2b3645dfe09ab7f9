"""The reconciliation of a run as one table: a row per shard, per bucket of rejects, and per job.

It is written anew by every collect, from what collect knows anyway, for those who would rather
query than read a file per shard. docs/run-folder.md says what the columns mean.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.outputs.reconcile import BAD, ERROR, INVALID, MISSING, OK, REJECTED
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import Storage

SHARD, REJECTS, JOB = "shard", "rejects", "job"
_TEXT = ("kind", "unit", "job_name", "job_arn", "status")
_OUTCOMES = (OK, ERROR, MISSING, INVALID, REJECTED)
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

Reconciled = Mapping[str, Any]


def write_reconciliation(
    storage: Storage, reconciled: Iterable[Reconciled], jobs: Mapping[str, Job]
) -> None:
    """Put reconciliation.parquet into the run folder."""
    units = list(reconciled)
    left = {(unit["unit"], one["job_id"]): one for unit in units for one in unit.get("jobs", ())}
    rows = [_unit_row(unit) for unit in units]
    rows += [_job_row(job, left) for job in sorted(jobs.values(), key=_place)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, compression="zstd")
    storage.write(layout.RECONCILIATION_FILE, sink.getvalue())


def _place(job: Job) -> tuple[str, int]:
    return job.shard_id, job.attempt


def _unit_row(unit: Reconciled) -> dict[str, Any]:
    outcomes, tokens = unit["outcomes"], unit["tokens"]
    return {
        "kind": REJECTS if REJECTED in outcomes else SHARD,
        "unit": unit["unit"],
        "rows": unit["rows"],
        **{name: outcomes.get(name, 0) for name in _OUTCOMES},
        "unanswered": unit["unanswered"],
        "findings": sum(finding["count"] for finding in unit["findings"]),
        **_lines(unit.get("lines", {})),
        "input_tokens": tokens.get("input", 0),
        "output_tokens": tokens.get("output", 0),
        "images": unit["manifest_tokens"].get("images", 0),
    }


def _job_row(job: Job, left: Mapping[tuple[str, str], Reconciled]) -> dict[str, Any]:
    seen = job.seen
    row: dict[str, Any] = {
        "kind": JOB,
        "unit": job.shard_id,
        "job_name": job.job_name,
        "attempt": job.attempt,
    }
    if seen is None:
        return row
    output = left.get((job.shard_id, seen.job_arn.rsplit("/", 1)[-1]), {})
    return row | {
        "job_arn": seen.job_arn,
        "status": seen.status,
        **_lines(output.get("lines", {})),
        "job_ok": seen.succeeded,
        "job_error": seen.failed,
        **{name: output.get(name) for name in ("input_tokens", "output_tokens", "images")},
        "submitted_at": _moment(seen.submitted_at),
        "ended_at": _moment(seen.ended_at),
    }


def _lines(lines: Mapping[str, int]) -> dict[str, int]:
    return {f"lines_{kind}": lines.get(kind, 0) for kind in (OK, ERROR, BAD)}


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
