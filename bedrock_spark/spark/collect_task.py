"""The work of collect on one shard: join what came back to the rows that asked; prove the count.

It reads the shard's rows and outputs, writes one results file and, last, one reconciliation. A
shard whose inputs did not change since is not read again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark import layout
from bedrock_spark._version import __version__
from bedrock_spark.families import family_by_name
from bedrock_spark.ledger import Job
from bedrock_spark.reconcile import FALLBACK, REJECTED, ShardReconciliation
from bedrock_spark.shard_outputs import manifest_totals, shard_inputs, take_outputs
from bedrock_spark.spark.result_rows import for_every_row, result_columns
from bedrock_spark.spark.results_schema import RESULT_ARROW, RESULT_COLUMNS
from bedrock_spark.storage import Storage, StoredObject

Reconciled = dict[str, Any]
# Of results and reconciliation: what an older one wrote is collected again.
_FORMAT = 2


@dataclass(frozen=True)
class ShardWork:
    """One unit of collect: a shard and its jobs, or a bucket's rejected rows (no jobs)."""

    unit: str
    bucket: int | None
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class CollectTask:
    """The work on one shard; sent to executors."""

    storage: Storage
    family: str

    def __call__(self, work: ShardWork) -> Reconciled:
        """Collect one unit, or return what is there if nothing changed."""
        inputs = self._inputs(work)
        fingerprint = _fingerprint(inputs, work, self.family)
        key = layout.reconciliation_key(work.unit)
        before = self.storage.read_if_present(key)
        if before is not None:
            reconciled: Reconciled = json.loads(before)
            if reconciled.get("fingerprint") == fingerprint:
                return _without_ids(reconciled)
        if work.bucket is not None:
            reconciled = self._collect_rejects(work)
        else:
            reconciled = self._collect_shard(work, inputs)
        reconciled["fingerprint"] = fingerprint
        self.storage.write(key, json.dumps(reconciled, ensure_ascii=False).encode())
        return _without_ids(reconciled)

    def _inputs(self, work: ShardWork) -> list[StoredObject]:
        return shard_inputs(self.storage, work.unit) if work.bucket is None else []

    def _collect_rejects(self, work: ShardWork) -> Reconciled:
        assert work.bucket is not None
        rows = pq.read_table(io.BytesIO(self.storage.read(layout.rejects_key(work.bucket))))
        reasons = [
            f"{column}: {reason}"
            for column, reason in zip(
                rows["reject_column"].to_pylist(), rows["reject_reason"].to_pylist(), strict=True
            )
        ]
        columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in RESULT_COLUMNS}
        columns["outcome"] = [REJECTED] * len(rows)
        columns["error_message"] = reasons
        kept = rows.drop_columns(["reject_column", "reject_reason"])
        self._write(work.unit, kept, columns)
        return {
            "unit": work.unit,
            "rows": len(rows),
            "outcomes": {REJECTED: len(rows)},
            "served_by": {},
            "tokens": {},
            "manifest_tokens": {},
            "stragglers": 0,
            "findings": [],
        }

    def _collect_shard(self, work: ShardWork, inputs: list[StoredObject]) -> Reconciled:
        rows = pq.read_table(io.BytesIO(self.storage.read(layout.rows_key(work.unit))))
        ids: list[str] = rows["record_id"].to_pylist()
        rows_of = Counter(ids)
        reconciliation = ShardReconciliation(work.unit, rows_of)
        outputs = take_outputs(self.storage, inputs, work.jobs, reconciliation)
        reconciliation.finish()
        stragglers = reconciliation.stragglers()
        read = family_by_name(self.family).read
        records = result_columns(list(rows_of), reconciliation, read)
        columns = for_every_row(records, ids)
        self._write(work.unit, rows.drop_columns(["record_id"]), columns)
        return {
            "unit": work.unit,
            "rows": len(ids),
            "outcomes": reconciliation.counts(),
            "served_by": reconciliation.served_by(),
            "tokens": {
                "input": _sum(records["input_tokens"]),
                "output": _sum(records["output_tokens"]),
            },
            "manifest_tokens": manifest_totals(outputs),
            "jobs": [output.as_json() for output in outputs],
            "fallback_tokens": {
                "input": _sum_of(records, "input_tokens", FALLBACK),
                "output": _sum_of(records, "output_tokens", FALLBACK),
            },
            "lines": dict(reconciliation.lines),
            "stragglers": sum(rows_of[record_id] for record_id in stragglers),
            "straggler_ids": stragglers,
            "findings": [f.as_json() for f in reconciliation.findings],
        }

    def _write(self, unit: str, rows: pa.Table, columns: dict[str, list[Any]]) -> None:
        table = rows
        for name in RESULT_COLUMNS:
            table = table.append_column(name, pa.array(columns[name], RESULT_ARROW[name]))
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        self.storage.write(layout.results_key(unit), sink.getvalue())


def _without_ids(reconciled: Reconciled) -> Reconciled:
    """Return what the driver gets: the ids of the stragglers stay in the run folder."""
    return {k: v for k, v in reconciled.items() if k != "straggler_ids"}


def straggler_ids(storage: Storage, shard_id: str) -> list[str]:
    """Return the records of a collected shard that are not answered and may still be."""
    ids: list[str] = json.loads(storage.read(layout.reconciliation_key(shard_id)))["straggler_ids"]
    return ids


def _sum(values: list[int | None]) -> int:
    return sum(v for v in values if v is not None)


def _sum_of(columns: dict[str, list[Any]], name: str, served_by: str) -> int:
    """Add up the values of the answers that one of the two gave."""
    pairs = zip(columns[name], columns["served_by"], strict=True)
    return sum(value or 0 for value, by in pairs if by == served_by)


def _fingerprint(inputs: list[StoredObject], work: ShardWork, family: str) -> str:
    """Return a digest of everything a collected shard depends on."""
    jobs = [
        (j.job_name, j.seen and (j.seen.status, j.seen.succeeded, j.seen.failed)) for j in work.jobs
    ]
    told = [[(o.key, o.size, o.version) for o in inputs], jobs, family, __version__, _FORMAT]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
