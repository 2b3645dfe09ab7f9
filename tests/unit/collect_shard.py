"""Collect one shard in this process, from output files that a test writes itself."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import ResultsConfig
from bedrock_spark.outputs.ask_again import NEVER, AskAgain
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.schema import ROW_BODY_SHA256, ROW_RECORD_ID
from bedrock_spark.spark.collect.provenance import NOT_KNOWN, Provenance
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage

SHARD, PREPARE_ID = "shard-00001-00", "0a1b2c3d4e5f"
# The output folder of the shard's first job, and the file of its output lines.
JOB_FOLDER = f"output/{SHARD}/a1-abc/job1"
LINES_KEY = f"{JOB_FOLDER}/{SHARD}.jsonl.out"
_ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"


def completed_job(attempt: int, folder: str, **counts: int) -> Job:
    """Return the Completed job that wrote the output folder `folder`.

    counts: members of SeenJob, such as `succeeded` and `failed`
    """
    arn = _ARN + folder.rsplit("/", 1)[-1]
    seen = SeenJob(arn, f"n{attempt}", "t", "Completed", **counts)  # type: ignore[arg-type]
    return Job(SHARD, attempt, f"n{attempt}", "t", seen)


def collect_shard(
    folder: str,
    ids: Sequence[str],
    files: Mapping[str, bytes],
    jobs: Sequence[Job] = (),
    family: str = "anthropic",
    again: AskAgain = NEVER,
    provenance: Provenance = NOT_KNOWN,
    bodies: Sequence[bytes] | None = None,
    **results: Any,
) -> tuple[ReconciledShard, list[dict[str, Any]]]:
    """Write the shard's rows and `files` into the run folder, then collect the shard.

    again: which answers are asked again; by default, as `results.parse` says
    provenance: what the run knows of all its answers
    bodies: the SHA-256 of each row's body, if prepare has hashed bodies
    ids: the record id of each row; files: contents by key; results: the config section `results`
    Returns the reconciliation and the result rows. Column `n` is the position of a row, from 0.
    """
    storage = LocalStorage(folder)
    rows = io.BytesIO()
    columns: dict[str, Any] = {ROW_RECORD_ID: list(ids), "n": list(range(len(ids)))}
    if bodies is not None:
        columns[ROW_BODY_SHA256] = pa.array(bodies, pa.binary(32))
    pq.write_table(pa.table(columns), rows)
    storage.write(layout.rows_key(SHARD, PREPARE_ID), rows.getvalue())
    for key, data in files.items():
        storage.write(key, data)
    config = ResultsConfig(**results)
    if again is NEVER and config.parse is not None:
        again = AskAgain(invalid=config.parse.retries)
    wanted = result_columns_of(config)
    task = CollectTask(*(storage, family, wanted, PREPARE_ID), again=again, provenance=provenance)
    reconciled = task(ShardWork(SHARD, None, tuple(jobs))).reconciled
    table = pq.read_table(io.BytesIO(storage.read(layout.results_key(SHARD))))
    return reconciled, sorted(table.to_pylist(), key=lambda row: row["n"])
