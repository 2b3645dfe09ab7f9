"""The work of collect on one shard: join what came back to the rows that asked; prove the count.

It reads the shard's rows and outputs, writes one results file and, last, one reconciliation. A
shard whose inputs did not change since is not read again.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark._version import __version__
from bedrock_spark.families import Answer, family_by_name
from bedrock_spark.families.base import answer_of
from bedrock_spark.outputs.parse import AnswerParser
from bedrock_spark.outputs.reconcile import (
    BATCH,
    EXAMPLES,
    FALLBACK,
    REJECTED,
    Judge,
    ShardReconciliation,
)
from bedrock_spark.outputs.reconciled_shard import Reconciled
from bedrock_spark.outputs.shard_outputs import (
    JobOutput,
    images_of,
    manifest_totals,
    shard_inputs,
    take_outputs,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.spark.collect.dead_letters import DeadLetters
from bedrock_spark.spark.collect.result_rows import ResultRows, rejected_columns
from bedrock_spark.spark.parquet import write_results
from bedrock_spark.spark.result_schema import ResultColumns
from bedrock_spark.storage import Storage, StoredObject

# Of results and reconciliation: what an older one wrote is collected again.
_FORMAT = 5
_KEPT_IN_FOLDER = frozenset({"unanswered_ids", "invalid_ids", "fallback_files"})
_PIECE_ROWS = 2_000
_REJECT_COLUMNS = ("reject_column", "reject_reason")


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
    columns: ResultColumns

    def __call__(self, work: ShardWork) -> Reconciled:
        """Collect one unit, or return what is there if nothing changed."""
        inputs = self._inputs(work)
        fingerprint = _fingerprint(inputs, work, self.family, self.columns)
        key = layout.reconciliation_key(work.unit)
        found = self.storage.read_if_present(key)
        before: Reconciled = json.loads(found) if found is not None else {}
        if before.get("fingerprint") == fingerprint:
            return _without_ids(before)
        with _uncollected():
            if work.bucket is not None:
                reconciled = self._collect_rejects(work)
            else:
                reconciled = self._collect_shard(work, inputs, before)
        reconciled["fingerprint"] = fingerprint
        self.storage.write(key, json.dumps(reconciled, ensure_ascii=False).encode())
        return _without_ids(reconciled)

    def _inputs(self, work: ShardWork) -> list[StoredObject]:
        return shard_inputs(self.storage, work.unit) if work.bucket is None else []

    def _collect_rejects(self, work: ShardWork) -> Reconciled:
        assert work.bucket is not None
        rows = pq.read_table(io.BytesIO(self.storage.read(layout.rejects_key(work.bucket))))
        columns, reasons = (rows[name].to_pylist() for name in _REJECT_COLUMNS)
        told = [f"{column}: {reason}" for column, reason in zip(columns, reasons, strict=True)]
        kept = rows.drop_columns(list(_REJECT_COLUMNS))
        schema, batches = self._rows(kept, lambda start, stop: rejected_columns(told[start:stop]))
        write_results(self.storage, layout.results_key(work.unit), schema, batches)
        return {
            "unit": work.unit,
            "rows": len(rows),
            "outcomes": {REJECTED: len(rows)},
            "served_by": {},
            "tokens": {},
            "manifest_tokens": {},
            "unanswered": 0,
            "findings": [],
        }

    def _collect_shard(
        self, work: ShardWork, inputs: list[StoredObject], before: Reconciled
    ) -> Reconciled:
        rows = pq.read_table(io.BytesIO(self.storage.read(layout.rows_key(work.unit))))
        ids: list[str] = rows["record_id"].to_pylist()
        read = family_by_name(self.family).read
        judge = _judge(self.columns, read)
        reconciliation = ShardReconciliation(work.unit, Counter(ids), judge, self.columns.retries)
        outputs = take_outputs(self.storage, inputs, work.jobs, reconciliation)
        images = images_of(self.storage, outputs, reconciliation)
        parsed = [field.name for field in self.columns.parsed]
        results = ResultRows(reconciliation, read, images, parsed)
        kept = rows.drop_columns(["record_id"])
        dead = DeadLetters(parsed)
        schema, batches = self._rows(kept, lambda start, stop: results.columns(ids[start:stop]))
        write_results(self.storage, layout.results_key(work.unit), schema, dead.among(batches))
        letters = dead.write(self.storage, work.unit, may_be_there=before.get("dead_letters") != 0)
        if images.bad:
            reconciliation.find("bad_image", "; ".join(images.bad[:EXAMPLES]), len(images.bad))
        reconciliation.finish()
        answers = [o.key for o in inputs if o.key.startswith(layout.FALLBACK)]
        kept_too = {"fallback_files": answers, "dead_letters": letters}
        return _reconciled(reconciliation, outputs, results) | kept_too

    def _rows(
        self, rows: pa.Table, columns: Callable[[int, int], Mapping[str, Sequence[Any]]]
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return rows with their result columns, which are asked for piece by piece."""
        results = self.columns.arrow()
        schema = pa.schema([*rows.schema, *results])
        combined = rows.combine_chunks()

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(combined), _PIECE_ROWS):
                piece = combined.slice(start, _PIECE_ROWS)
                values = columns(start, start + len(piece))
                arrays = [
                    pa.array(values[name], kind) if name in values else pa.nulls(len(piece), kind)
                    for name, kind in results
                ]
                kept = [column.combine_chunks() for column in piece.columns]
                yield pa.RecordBatch.from_arrays([*kept, *arrays], schema=schema)

        return schema, batches()


def _judge(columns: ResultColumns, read: Callable[[Any], Answer]) -> Judge | None:
    if not columns.parsed:
        return None
    parser = AnswerParser(columns.parsed)
    return lambda output: parser.parse(answer_of(output, read))


def _reconciled(
    reconciliation: ShardReconciliation, outputs: list[JobOutput], results: ResultRows
) -> Reconciled:
    rows_of, unanswered = reconciliation.expected, reconciliation.unanswered()
    invalid = reconciliation.invalid_among(unanswered)
    given_out = {
        name: results.tokens[BATCH, name] + results.tokens[FALLBACK, name]
        for name in ("input", "output")
    }
    return {
        "unit": reconciliation.shard_id,
        "rows": sum(rows_of.values()),
        "outcomes": reconciliation.counts(),
        "served_by": reconciliation.served_by(),
        "tokens": given_out,
        "manifest_tokens": manifest_totals(outputs),
        "fallback_tokens": results.count(reconciliation.superseded, FALLBACK),
        "jobs": [output.as_json() for output in outputs],
        "lines": dict(reconciliation.lines),
        "unanswered": sum(rows_of[record_id] for record_id in unanswered),
        "unanswered_records": len(unanswered),
        "invalid_unanswered": len(invalid),
        "invalid_ids": invalid,
        "unanswered_ids": unanswered,
        "findings": [f.as_json() for f in reconciliation.findings],
    }


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the cyclic collector from looking through a shard's records: none refer in cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
        pa.default_memory_pool().release_unused()


def _without_ids(reconciled: Reconciled) -> Reconciled:
    """Return what the driver gets: the ids of the stragglers stay in the run folder."""
    return {k: v for k, v in reconciled.items() if k not in _KEPT_IN_FOLDER}


def _fingerprint(
    inputs: list[StoredObject], work: ShardWork, family: str, columns: ResultColumns
) -> str:
    """Return a digest of everything a collected shard depends on."""
    jobs = [
        (j.job_name, j.seen and (j.seen.status, j.seen.succeeded, j.seen.failed)) for j in work.jobs
    ]
    read = [(o.key, o.size, o.version) for o in inputs]
    told = [read, jobs, family, columns.fingerprint, __version__, _FORMAT]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
