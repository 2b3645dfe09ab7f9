"""A run of one shard, whose stages run one by one with the run folder in a local Bedrock's S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import Config, parse_config
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, digest_of_ids, read_reconciled
from bedrock_spark.outputs.shard_outputs import outputs_digest, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine, read_shard
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.fallback.stage import ask_unanswered
from bedrock_spark.spark.prepare.stage import prepare
from tests.models import CLAUDE

BUCKET = "bench-one-shard"
RECORDS = 50_000
ANSWER_BYTES = 400
ASKED = 200
_MEGABYTE = 1_000_000
_ALPHABET = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz      ", np.uint8)


@dataclass(frozen=True)
class Case:
    """One shard: how many records it has, and the bytes of each line and of each answer's text."""

    records: int
    line_bytes: int
    answer_bytes: int = ANSWER_BYTES

    @property
    def name(self) -> str:
        return f"{self.records}x{self.line_bytes}-{self.answer_bytes}"

    @property
    def shard_megabytes(self) -> float:
        return self.records * self.line_bytes / _MEGABYTE


def write_source(case: Case, path: Path) -> None:
    """Write a source that fills one shard with the lines of a case."""
    frame = 190  # the record id, the keys of the body, and the prompt's own words
    length = max(10, case.line_bytes - frame)
    random = np.random.default_rng(7)
    letters = random.choice(_ALPHABET, case.records * length)
    offsets = np.arange(0, (case.records + 1) * length, length, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters.tobytes())]
    body = pa.Array.from_buffers(pa.large_string(), case.records, buffers)
    keys = pa.array([f"T-{i:09d}" for i in range(case.records)])
    table = pa.table({"ticket_id": keys, "body": body.cast(pa.string())})
    pq.write_table(table, path, row_group_size=max(100, 8 * _MEGABYTE // length))


def config_of(case: Case, source: Path, endpoint: str, folder: str = "") -> Config:
    """Return the config of a run over a source. folder: of the run; by default, the case's name"""
    return parse_config(
        {
            "run_uri": f"s3://{BUCKET}/{folder or case.name}",
            "source": {"format": "parquet", "path": str(source), "key": ["ticket_id"]},
            "model": {"id": CLAUDE},
            "request": {"prompt": "Classify: {{ body }}", "max_tokens": 100},
            "shards": {"max_records": 2 * RECORDS, "max_bytes": 1_000 * _MEGABYTE},
            "batch": {"role_arn": "arn:aws:iam::123456789012:role/x", "region": "us-east-1"},
            "fallback": {"model_id": CLAUDE},
            "endpoint_url": endpoint,
        }
    )


def run_prepare(spark: SparkSession, run: Run) -> None:
    """Prepare as on one machine, where Arrow reads the source."""
    manifest = prepare(spark, run)
    assert len(manifest.shards) == 1


def run_prepare_by_spark(spark: SparkSession, run: Run) -> None:
    """Prepare as on a cluster, where Spark reads and shuffles the source."""
    with patch("bedrock_spark.spark.prepare.stage.find_plain_files", return_value=None):
        run_prepare(spark, run)


def run_collect(spark: SparkSession, run: Run) -> None:
    """Collect the shard; every record has an answer in the output of one job."""
    manifest = run.manifest()
    (shard,) = manifest.shards
    arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/bench00000001"
    seen = SeenJob(arn, shard.shard_id, "t", "Completed", succeeded=shard.records, failed=0)
    jobs = {shard.shard_id: Job(shard.shard_id, 1, shard.shard_id, "t", seen)}
    (reconciled,) = collect(spark, run, manifest, jobs)
    assert reconciled.outcomes["ok"] == shard.records, reconciled.outcomes


def run_fallback(spark: SparkSession, run: Run) -> None:
    """Ask records from all over the shard, as many as `ASKED`."""
    manifest = run.manifest()
    (shard,) = manifest.shards
    reconciled = read_reconciled(run.storage, shard.shard_id)
    asked = ask_unanswered(
        spark, run, manifest.prepare_id, {shard.shard_id: ASKED}, CLAUDE,
        digests={shard.shard_id: reconciled.unanswered_digest},
    )  # fmt: skip
    assert asked.records == ASKED


def write_output(run: Run, case: Case) -> None:
    """Write the output of the shard's job, as Bedrock does: each line with its input."""
    (shard,), prepare_id = (m := require_manifest(run.storage)).shards, m.prepare_id
    lines = read_shard(run.storage.read(layout.shard_key(shard.shard_id, prepare_id)))
    folder = f"{layout.outputs_prefix(shard.shard_id)}a1-bench/bench00000001"
    data = b"".join(output_line(line, case.answer_bytes) for line in lines)
    run.storage.write(f"{folder}/{shard.shard_id}.jsonl.out", data)
    counts = {"successRecordCount": shard.records, "errorRecordCount": 0}
    run.storage.write(f"{folder}/{layout.OUTPUT_MANIFEST_FILE}", json.dumps(counts).encode())


def output_line(record: ShardLine, answer_bytes: int) -> bytes:
    answer = {
        "id": f"msg_{record.recordId}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "a word " * (answer_bytes // 7)}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 100, "output_tokens": 80},
    }
    output = json.dumps(answer).encode()
    parts = (b'{"modelInput":', record.body, b',"modelOutput":', output)
    return b"".join((*parts, b',"recordId":"', record.recordId.encode(), b'"}\n'))


def leave_unanswered(run: Run, _: Case) -> None:
    """Replace the reconciliation: records from all over the shard have no answer."""
    (shard,), prepare_id = (m := require_manifest(run.storage)).shards, m.prepare_id
    data = run.storage.read(layout.shard_key(shard.shard_id, prepare_id))
    ids = [record.recordId for record in read_shard(data)][:: shard.records // ASKED][:ASKED]
    reconciled = ReconciledShard(
        unit=shard.shard_id,
        unanswered_ids=tuple(ids),
        unanswered_digest=digest_of_ids(ids),
        outputs=outputs_digest(shard_inputs(run.storage, shard.shard_id)),
    )
    run.storage.write(layout.reconciliation_key(shard.shard_id), reconciled.to_json())


STAGES: dict[str, Callable[[SparkSession, Run], None]] = {
    "prepare": run_prepare,
    "collect": run_collect,
    "fallback": run_fallback,
}
