"""Collect: for each shard, join what came back to the rows that asked, and prove the count.

One task per shard and no shuffle: a task reads the shard's rows and outputs, writes one results
file and one reconciliation, and hands the driver one small row. A shard whose inputs did not change
since is not read again.
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
from pyspark.sql import SparkSession

from bedrock_spark import layout
from bedrock_spark._version import __version__
from bedrock_spark.families import family_by_name, family_of
from bedrock_spark.ledger import Job
from bedrock_spark.manifest import RunManifest
from bedrock_spark.outputs import OutputManifest, read_lines, read_output_manifest
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.reconcile import (
    BATCH,
    ERROR,
    FALLBACK,
    OK,
    REJECTED,
    Origin,
    ShardReconciliation,
)
from bedrock_spark.run_folder import Run
from bedrock_spark.spark.per_unit import run_per_unit
from bedrock_spark.spark.result_rows import for_every_row, result_columns
from bedrock_spark.spark.results_schema import RESULT_ARROW, RESULT_COLUMNS
from bedrock_spark.spark.task_progress import observed_tasks
from bedrock_spark.storage import Storage, StoredObject

Reconciled = dict[str, Any]


@dataclass(frozen=True)
class ShardWork:
    """One unit of collect: a shard and its jobs, or a bucket's rejected rows (no jobs)."""

    unit: str
    bucket: int | None
    jobs: tuple[Job, ...]


def collect(
    spark: SparkSession,
    run: Run,
    manifest: RunManifest,
    jobs: dict[str, Job],
    observe: Observer = unobserved,
) -> list[Reconciled]:
    """Write results and reconciliations; return the reconciliation of every unit, by name.

    Runs one Spark action with a task per shard.
    """
    by_shard: dict[str, list[Job]] = {}
    for job in jobs.values():
        by_shard.setdefault(job.shard_id, []).append(job)
    works = [ShardWork(r.unit, r.bucket, ()) for r in manifest.rejects]
    for shard in manifest.shards:
        own = sorted(by_shard.get(shard.shard_id, ()), key=lambda j: j.attempt)
        works.append(ShardWork(shard.shard_id, None, tuple(own)))
    task = CollectTask(run.storage, family_of(run.config.model).name)
    with observed_tasks(spark, "collect", observe):
        found = run_per_unit(spark, works, task)
    return sorted(found, key=lambda reconciled: str(reconciled["unit"]))


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
        if work.bucket is not None:
            return []
        return [
            *self.storage.list(layout.outputs_prefix(work.unit)),
            *self.storage.list(layout.fallback_prefix(work.unit)),
        ]

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
            "stragglers": 0,
            "findings": [],
        }

    def _collect_shard(self, work: ShardWork, inputs: list[StoredObject]) -> Reconciled:
        rows = pq.read_table(io.BytesIO(self.storage.read(layout.rows_key(work.unit))))
        ids: list[str] = rows["record_id"].to_pylist()
        rows_of = Counter(ids)
        reconciliation = ShardReconciliation(work.unit, rows_of)
        tokens = self._take_outputs(work, inputs, reconciliation)
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
            "manifest_tokens": tokens,
            "fallback_tokens": {
                "input": _sum_of(records, "input_tokens", FALLBACK),
                "output": _sum_of(records, "output_tokens", FALLBACK),
            },
            "lines": dict(reconciliation.lines),
            "stragglers": sum(rows_of[record_id] for record_id in stragglers),
            "straggler_ids": stragglers,
            "findings": [f.as_json() for f in reconciliation.findings],
        }

    def _take_outputs(
        self, work: ShardWork, inputs: list[StoredObject], reconciliation: ShardReconciliation
    ) -> dict[str, int]:
        """Read every output of every attempt, oldest first, then the fallback's."""
        tokens = {"input": 0, "output": 0}
        jobs = {_job_id(j.seen.job_arn): j for j in work.jobs if j.seen is not None}
        manifests = {
            _folder(o.key): read_output_manifest(self.storage.read(o.key))
            for o in inputs
            if o.key.endswith("/" + layout.OUTPUT_MANIFEST_FILE)
        }
        for item in sorted(inputs, key=lambda o: (o.key.startswith(layout.FALLBACK), o.key)):
            if not item.key.endswith(".jsonl.out"):
                continue
            job = jobs.get(_folder(item.key).rsplit("/", 1)[-1])
            lines = reconciliation.take(
                _origin(item.key, job), read_lines(self.storage.read(item.key))
            )
            if item.key.startswith(layout.OUTPUT):
                manifest = manifests.get(_folder(item.key))
                reconciliation.compare(item.key, lines, manifest, _job_counts(job))
                _add_tokens(tokens, manifest)
        return tokens

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


def _origin(key: str, job: Job | None) -> Origin:
    if key.startswith(layout.FALLBACK):
        return Origin(FALLBACK, source=key)
    arn = job.seen.job_arn if job is not None and job.seen is not None else None
    return Origin(BATCH, _attempt_of(key), arn, key)


def _attempt_of(key: str) -> int:
    """Return the attempt that is written in an output's path: output/<shard>/a<n>-<digest>/…"""
    return int(key.split("/")[2].removeprefix("a").split("-", 1)[0])


def _folder(key: str) -> str:
    return key.rsplit("/", 1)[0]


def _job_id(job_arn: str) -> str:
    return job_arn.rsplit("/", 1)[-1]


def _job_counts(job: Job | None) -> dict[str, int | None]:
    if job is None or job.seen is None:
        return {}
    return {OK: job.seen.succeeded, ERROR: job.seen.failed}


def _add_tokens(tokens: dict[str, int], manifest: OutputManifest | None) -> None:
    if manifest is not None:
        tokens["input"] += manifest.input_tokens or 0
        tokens["output"] += manifest.output_tokens or 0


def _sum(values: list[int | None]) -> int:
    return sum(v for v in values if v is not None)


def _sum_of(columns: dict[str, list[Any]], name: str, served_by: str) -> int:
    """Add up the values of the answers that one of the two gave."""
    pairs = zip(columns[name], columns["served_by"], strict=True)
    return sum(value or 0 for value, by in pairs if by == served_by)


def _fingerprint(inputs: list[StoredObject], work: ShardWork, family: str) -> str:
    """Return a digest of everything a collected shard depends on."""
    jobs = [(j.job_name, j.seen.status if j.seen else None) for j in work.jobs]
    told = [[(o.key, o.size, o.version) for o in inputs], jobs, family, __version__]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
