"""reconciliation.parquet: a row per shard, per bucket of rejected rows, and per batch job."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.spark.collect.reconciliation_table import SCHEMA, write_reconciliation
from bedrock_spark.storage import LocalStorage
from tests.docs import ROOT
from tests.unit.collect_shard import JOB_FOLDER, LINES_KEY, SHARD, collect_shard

ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/job1"
DOC = ROOT / "docs" / "run-folder.md"
REJECTS = ReconciledShard(unit="rejects-00000", rows=3, outcomes={"rejected": 3})


def reconciliation_rows(folder: Path) -> list[dict[str, Any]]:
    """Collect a shard with two jobs; return the rows of reconciliation.parquet."""
    usage = {
        "content": [{"text": "a"}],
        "usage": {"input_tokens": 4, "output_tokens": 1},
    }
    answers = [json.dumps({"recordId": i, "modelOutput": usage}).encode() for i in "aab"]
    files = {
        LINES_KEY: b"\n".join([*answers, b"torn"]),
        f"{JOB_FOLDER}/manifest.json.out": b'{"inputTokenCount":9,"outputImgCount1":2}',
    }
    seen = SeenJob(ARN, "n1", "t", "Stopped", None, 3, 3, 3, 0, 1_800_000_000.0)
    jobs = [Job(SHARD, 1, "n1", "t", seen), Job(SHARD, 2, "n2", "t")]
    reconciled, _ = collect_shard(str(folder), "abc", files, jobs)
    storage = LocalStorage(str(folder))
    write_reconciliation(storage, [reconciled, REJECTS], {job.job_name: job for job in jobs})
    rows: list[dict[str, Any]] = pq.read_table(folder / "reconciliation.parquet").to_pylist()
    return rows


def test_a_row_per_shard_and_per_job(tmp_path: Path) -> None:
    """Counts, findings, tokens and statuses; a job that no listing has shown has only its name."""
    shard, job, unseen, rejects = reconciliation_rows(tmp_path)
    assert (shard["kind"], shard["rows"], shard["ok"], shard["missing"]) == ("shard", 3, 2, 0)
    assert (shard["unfound"], shard["unanswered"]) == (1, 0)  # the job claims 3 answers
    assert (shard["findings"], shard["input_tokens"]) == (3, 8)
    assert (shard["lines_ok"], shard["lines_bad"], shard["images"]) == (3, 1, 2)
    assert (rejects["kind"], rejects["rejected"], rejects["ok"]) == ("rejects", 3, 0)
    assert (job["kind"], job["attempt"], job["status"]) == ("job", 1, "Stopped")
    assert (job["lines_ok"], job["job_ok"], job["job_error"]) == (3, 3, 0)
    assert (job["input_tokens"], job["output_tokens"], job["images"]) == (9, None, 2)
    assert job["submitted_at"].isoformat() == "2027-01-15T08:00:00+00:00"
    assert {k: v for k, v in unseen.items() if v is not None} == {
        "kind": "job", "unit": SHARD, "job_name": "n2", "attempt": 2,
    }  # fmt: skip


def test_the_columns_are_documented() -> None:
    """docs/run-folder.md lists all columns, in order."""
    text = DOC.read_text(encoding="utf-8").split("## The reconciliation")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert names == SCHEMA.names
