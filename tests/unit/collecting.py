"""Collect one shard in this process, from files that a test makes up."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import ResultsConfig
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage

SHARD = "shard-00001-00"
OUTPUT = f"output/{SHARD}/a1-abc/job1"
LINES = f"{OUTPUT}/{SHARD}.jsonl.out"
_ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"


def settled_job(attempt: int, folder: str, **counts: int) -> Job:
    """Give a job of this output folder that is Completed."""
    arn = _ARN + folder.rsplit("/", 1)[-1]
    seen = SeenJob(arn, f"n{attempt}", "t", "Completed", **counts)  # type: ignore[arg-type]
    return Job(SHARD, attempt, f"n{attempt}", "t", seen)


def collect_in(
    folder: str,
    ids: Sequence[str],
    files: Mapping[str, bytes],
    jobs: Sequence[Job] = (),
    family: str = "anthropic",
    **results: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Collect; return the reconciliation and the result rows, which have their number as `n`."""
    storage = LocalStorage(folder)
    rows = io.BytesIO()
    pq.write_table(pa.table({"record_id": list(ids), "n": list(range(len(ids)))}), rows)
    storage.write(layout.rows_key(SHARD), rows.getvalue())
    for key, data in files.items():
        storage.write(key, data)
    task = CollectTask(storage, family, result_columns_of(ResultsConfig(**results)))
    found = task(ShardWork(SHARD, None, tuple(jobs)))
    table = pq.read_table(io.BytesIO(storage.read(layout.results_key(SHARD))))
    return found, table.to_pylist()
