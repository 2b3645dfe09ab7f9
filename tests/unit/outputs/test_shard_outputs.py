"""What came back for a shard: every file is taken, and every job's three counts are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.shard_outputs import manifest_totals, shard_inputs, take_outputs
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import LocalStorage

SHARD = "shard-00000-00"
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
OK_LINE, ERROR_LINE = {"modelOutput": {}}, {"error": {"errorCode": 400, "errorMessage": "no"}}


class Folder:
    """A run folder with what jobs left in it."""

    def __init__(self, path: Path) -> None:
        self.storage = LocalStorage(str(path))
        self.jobs: list[Job] = []

    def job(self, attempt: int, status: str = "Completed", **counts: int | None) -> str:
        """Put a job into the ledger; return its output folder."""
        job_id = f"job{attempt}"
        seen = SeenJob(ARN + job_id, f"n{attempt}", "t", status, **counts)  # type: ignore[arg-type]
        self.jobs.append(Job(SHARD, attempt, f"n{attempt}", "t", seen))
        return f"output/{SHARD}/a{attempt}-abc/{job_id}"

    def lines(self, folder: str, lines: dict[str, dict[str, Any]]) -> None:
        data = [json.dumps({"recordId": i, **line}).encode() + b"\n" for i, line in lines.items()]
        self.storage.write(f"{folder}/{SHARD}.jsonl.out", b"".join(data))

    def manifest(self, folder: str, data: bytes) -> None:
        self.storage.write(f"{folder}/manifest.json.out", data)

    def taken(self, expected: str) -> tuple[ShardReconciliation, dict[str, int], list[Any]]:
        reconciliation = ShardReconciliation(SHARD, dict.fromkeys(expected, 1))
        inputs = shard_inputs(self.storage, SHARD)
        outputs = take_outputs(self.storage, inputs, self.jobs, reconciliation)
        reconciliation.finish()
        return reconciliation, manifest_totals(outputs), [o.as_json() for o in outputs]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def kinds(reconciliation: ShardReconciliation) -> list[str]:
    return [finding.kind for finding in reconciliation.findings]


def test_manifests_of_all_attempts_add_up(folder: Folder) -> None:
    """In every spelling, also of a job that left no lines: it was paid for."""
    first = folder.job(1, "Stopped")
    folder.lines(first, {"a": OK_LINE})
    folder.manifest(first, b'{"inputTextTokenCount":5,"outputImgCount512x512pStep50":2}')
    folder.manifest(folder.job(2), b'{"inputTokenCount":7,"outputTokenCount":3,"new":{}}')
    found, totals, jobs = folder.taken("ab")
    assert totals == {"input": 12, "output": 3, "images": 2}
    assert [(j["job_id"], j["attempt"], j["lines"]["ok"]) for j in jobs] == [
        ("job1", 1, 1),
        ("job2", 2, 0),
    ]
    assert kinds(found) == []


def test_counts_are_compared_per_job(folder: Folder) -> None:
    """The lines of several files of a job together, each job with its own manifest."""
    first, second = folder.job(1, succeeded=2, failed=0), folder.job(2, succeeded=0, failed=1)
    folder.lines(first, {"a": OK_LINE})
    folder.storage.write(f"{first}/more.jsonl.out", b'{"recordId":"b","modelOutput":{}}')
    folder.lines(second, {"c": ERROR_LINE})
    folder.manifest(first, b'{"successRecordCount":2,"errorRecordCount":0}')
    folder.manifest(second, b'{"successRecordCount":1,"errorRecordCount":1}')
    found, _, _ = folder.taken("abc")
    (finding,) = found.findings
    assert finding.kind == "count_mismatch"
    assert "0 lines are ok, its output manifest says 1" in finding.detail
    assert "job2" in finding.detail


def test_a_settled_job_without_its_lines_is_a_finding(folder: Folder) -> None:
    """It says that it answered; a job that is not over may still write."""
    folder.job(1, succeeded=3, failed=0)
    folder.job(2, "InProgress", succeeded=3, failed=2)
    folder.job(3, "Expired", succeeded=0, failed=0)
    folder.job(4, "Failed")
    found, _, _ = folder.taken("abc")
    assert [f.detail for f in found.findings] == ["job job1: 0 lines are ok, the job says 3"]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"totalRec', b"\xff\x00"])
def test_a_broken_output_manifest_is_a_finding(folder: Folder, data: bytes) -> None:
    """The lines beside it are read all the same."""
    output = folder.job(1)
    folder.lines(output, {"a": OK_LINE})
    folder.manifest(output, data)
    found, totals, _ = folder.taken("a")
    assert kinds(found) == ["bad_manifest"]
    assert (found.counts()["ok"], totals["input"]) == (1, 0)


def test_output_of_a_job_that_the_ledger_does_not_know_is_read(folder: Folder) -> None:
    """It lies in the shard's own folder, and is paid for."""
    folder.lines(f"output/{SHARD}/a3-abc/other", {"a": OK_LINE})
    folder.lines(f"output/{SHARD}/odd", {"b": OK_LINE})
    found, _, jobs = folder.taken("ab")
    assert found.counts()["ok"] == 2
    assert sorted(str(j["attempt"]) for j in jobs) == ["3", "None"]
    assert found.outcomes["a"].origin.attempt == 3
