"""Outputs of a shard: every file is read, and for every job three counts are compared.

The counts are those of the output lines, of the output manifest, and of the job itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.reconciled_shard import CollectedJob
from bedrock_spark.outputs.shard_outputs import (
    manifest_totals,
    open_outputs,
    read_outputs,
    shard_inputs,
)
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import LocalStorage

SHARD = "shard-00000-00"
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
OK_LINE, ERROR_LINE = {"modelOutput": {}}, {"error": {"errorCode": 400, "errorMessage": "no"}}


class Folder:
    """A run folder with the output of batch jobs, and the jobs themselves."""

    def __init__(self, path: Path) -> None:
        self.storage = LocalStorage(str(path / "run"))
        self.jobs: list[Job] = []

    def job(self, attempt: int, status: str = "Completed", **counts: int | None) -> str:
        """Add a batch job; return its output folder."""
        job_id = f"job{attempt}"
        seen = SeenJob(ARN + job_id, f"n{attempt}", "t", status, **counts)  # type: ignore[arg-type]
        self.jobs.append(Job(SHARD, attempt, f"n{attempt}", "t", seen))
        return f"output/{SHARD}/a{attempt}-abc/{job_id}"

    def lines(self, folder: str, lines: dict[str, dict[str, Any]]) -> None:
        data = [json.dumps({"recordId": i, **line}).encode() + b"\n" for i, line in lines.items()]
        self.storage.write(f"{folder}/{SHARD}.jsonl.out", b"".join(data))

    def manifest(self, folder: str, data: bytes) -> None:
        self.storage.write(f"{folder}/manifest.json.out", data)

    def read_outputs(
        self, expected: str
    ) -> tuple[ShardReconciliation, dict[str, int], list[CollectedJob]]:
        """Read all outputs of a shard whose record ids are the letters of `expected`.

        Returns its reconciliation, the totals of the output manifests, and its collected jobs.
        """
        reconciliation = ShardReconciliation(SHARD, dict.fromkeys(expected, 1))
        inputs = shard_inputs(self.storage, SHARD)
        reader = open_outputs(self.storage, inputs)
        outputs = read_outputs(reader, inputs, self.jobs, reconciliation)
        reconciliation.finish()
        return reconciliation, manifest_totals(outputs), [o.collected() for o in outputs]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def kinds(reconciliation: ShardReconciliation) -> list[str]:
    return [finding.kind for finding in reconciliation.findings]


def test_manifests_of_all_attempts_add_up(folder: Folder) -> None:
    """With any spelling of the keys, and for a job without lines too: its tokens were paid for."""
    first = folder.job(1, "Stopped")
    folder.lines(first, {"a": OK_LINE})
    folder.manifest(first, b'{"inputTextTokenCount":5,"outputImgCount512x512pStep50":2}')
    folder.manifest(folder.job(2), b'{"inputTokenCount":7,"outputTokenCount":3,"new":{}}')
    reconciliation, totals, jobs = folder.read_outputs("ab")
    assert totals == {"input": 12, "output": 3, "images": 2}
    assert [(job.job_id, job.attempt, job.lines["ok"]) for job in jobs] == [
        ("job1", 1, 1),
        ("job2", 2, 0),
    ]
    assert kinds(reconciliation) == []


def test_counts_are_compared_per_job(folder: Folder) -> None:
    """All files of one job count together, and are compared with the manifest of that job."""
    first, second = folder.job(1, succeeded=2, failed=0), folder.job(2, succeeded=0, failed=1)
    folder.lines(first, {"a": OK_LINE})
    folder.storage.write(f"{first}/more.jsonl.out", b'{"recordId":"b","modelOutput":{}}')
    folder.lines(second, {"c": ERROR_LINE})
    folder.manifest(first, b'{"successRecordCount":2,"errorRecordCount":0}')
    folder.manifest(second, b'{"successRecordCount":1,"errorRecordCount":1}')
    reconciliation, _, _ = folder.read_outputs("abc")
    (finding,) = reconciliation.findings
    assert finding.kind == "count_mismatch"
    assert "0 lines are ok, its output manifest says 1" in finding.detail
    assert "job2" in finding.detail


def test_a_settled_job_without_its_lines_is_a_finding(folder: Folder) -> None:
    """Its own counts say that it answered. A job that is not over may still write its lines."""
    folder.job(1, succeeded=3, failed=0)
    folder.job(2, "InProgress", succeeded=3, failed=2)
    folder.job(3, "Expired", succeeded=0, failed=0)
    folder.job(4, "Failed")
    reconciliation, _, _ = folder.read_outputs("abc")
    mismatch, unfound = reconciliation.findings
    assert mismatch.detail == "job job1: 0 lines are ok, the job says 3"
    assert (unfound.kind, unfound.count) == ("unfound", 3)
    assert unfound.detail == f"{ARN}job1: 3 answers are claimed, 0 were found"


@pytest.mark.parametrize("data", [b"", b"[]", b'{"totalRec', b"\xff\x00"])
def test_a_broken_output_manifest_is_a_finding(folder: Folder, data: bytes) -> None:
    """The lines in the same folder are still read."""
    output = folder.job(1)
    folder.lines(output, {"a": OK_LINE})
    folder.manifest(output, data)
    reconciliation, totals, _ = folder.read_outputs("a")
    assert kinds(reconciliation) == ["bad_manifest"]
    assert (reconciliation.counts()["ok"], totals["input"]) == (1, 0)


def test_output_of_a_job_that_is_not_in_the_ledger_is_read(folder: Folder) -> None:
    """It is in the output folder of the shard, and it was paid for."""
    folder.lines(f"output/{SHARD}/a3-abc/other", {"a": OK_LINE})
    folder.lines(f"output/{SHARD}/odd", {"b": OK_LINE})
    reconciliation, _, jobs = folder.read_outputs("ab")
    assert reconciliation.counts()["ok"] == 2
    assert sorted(str(job.attempt) for job in jobs) == ["3", "None"]
    assert reconciliation.outcomes["a"].origin.attempt == 3


def test_attempts_are_read_in_the_order_of_their_numbers(folder: Folder) -> None:
    """Of several answers that are ok the first counts: that of attempt 2, and not of 10."""
    for attempt in (10, 2):
        folder.lines(folder.job(attempt), {"a": OK_LINE})
    reconciliation, _, _ = folder.read_outputs("a")
    assert reconciliation.outcomes["a"].origin.attempt == 2
