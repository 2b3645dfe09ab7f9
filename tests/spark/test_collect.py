"""Collect: one result row per source row for any output folders, and the reconciliation."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.reconciled_shard import read_reconciled
from bedrock_spark.report import build_report, check_complete, totals_of
from bedrock_spark.report.values import all_outcomes
from bedrock_spark.run_folder.job_plan import plan_job
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.results import results
from tests.spark_sessions import CLAUDE, make_config

Jobs = dict[str, Job]


def answer(text: str) -> dict[str, Any]:
    return {
        "modelOutput": {
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 7, "output_tokens": 3},
        }
    }


def error(code: int, **flags: Any) -> dict[str, Any]:
    return {"error": {"errorCode": code, "errorMessage": f"it is {code}", **flags}}


class Output:
    """Writes the output of batch jobs into a local run folder, and keeps the jobs."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self.jobs: Jobs = {}

    def ids(self, shard: Shard) -> list[str]:
        lines = (self.folder / shard.key).read_bytes().split(b"\n")
        return [json.loads(line)["recordId"] for line in lines if line]

    def settle(
        self,
        shard: Shard,
        lines: dict[str, dict[str, Any]],
        attempt: int = 1,
        status: str = "Completed",
        **manifest: int,
    ) -> Path:
        """Write the lines and the manifest of a finished job; return the path of the lines."""
        plan = plan_job(
            *(self.run.run_id, shard.shard_id, shard.sha256, CLAUDE, attempt),
            prepare_id=shard.prepare_id,
        )
        job_id = f"job{attempt:09d}"
        arn = f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{job_id}"
        seen = SeenJob(arn, plan.job_name, plan.token, status)
        self.jobs[plan.job_name] = Job(shard.shard_id, attempt, plan.job_name, plan.token, seen)
        folder = self.folder / plan.output_prefix / job_id
        folder.mkdir(parents=True)
        texts = [json.dumps({"recordId": i, "modelInput": {}, **line}) for i, line in lines.items()]
        random.Random(7).shuffle(texts)
        path = folder / f"{shard.shard_id}.jsonl.out"
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        if manifest:
            (folder / "manifest.json.out").write_text(json.dumps(manifest))
        return path


@pytest.fixture
def prepared(spark: SparkSession, tmp_path: Path) -> tuple[Run, RunManifest, Output]:
    df = spark.range(120).select(
        F.col("id"),
        F.when(F.col("id") != 5, F.concat(F.lit("text "), F.col("id"))).alias("body"),
        F.expr("timestamp_micros(id * 1000003)").alias("at"),
    )
    sections: dict[str, Any] = {"shards": {"max_records": 40, "min_records": 10}}
    run = open_run(make_config(str(tmp_path), **sections), SystemClock())
    manifest = prepare(spark, run, df)
    assert len(manifest.shards) >= 3
    return run, manifest, Output(run, tmp_path)


def collected(
    spark: SparkSession, run: Run, manifest: RunManifest, jobs: Jobs
) -> tuple[Any, dict[int, dict[str, Any]]]:
    """Return the report, and the result rows by source id."""
    totals = totals_of(manifest, collect(spark, run, manifest, jobs))
    report = build_report(run, manifest, jobs, totals, {})
    check_complete(report)
    rows = [row.asDict() for row in results(spark, run, manifest).collect()]
    return report, {row["id"]: row for row in rows}


@pytest.mark.versions
def test_answers_find_their_rows(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output]
) -> None:
    """Every answer is joined to its row, in any order of lines, with its content in columns."""
    run, manifest, output = prepared
    for shard in manifest.shards:
        output.settle(shard, {i: answer(f"about {i} \u2028\x85") for i in output.ids(shard)})
    report, rows = collected(spark, run, manifest, output.jobs)
    assert report.outcomes == all_outcomes({"ok": 119, "rejected": 1})
    assert report.served_by == {"batch": 119, "fallback": 0}
    assert report.tokens == {"input": 7 * 119, "output": 3 * 119}
    assert report.findings == []
    assert sorted(rows) == list(range(120))
    row = rows[8]
    assert row["text"] == f"about {row['record_id']} \u2028\x85"
    assert (row["outcome"], row["stop_reason"], row["attempt"]) == ("ok", "end_turn", 1)
    assert json.loads(row["model_output"])["usage"]["input_tokens"] == 7
    assert row["job_arn"].endswith("/job000000001")


@pytest.mark.versions
def test_rejected_rows_have_a_result_too(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output]
) -> None:
    """A row that never became a record is in the results, with the reason of its rejection."""
    run, manifest, output = prepared
    _, rows = collected(spark, run, manifest, output.jobs)
    assert rows[5]["outcome"] == "rejected"
    assert rows[5]["error_message"] == "body: is null"
    assert rows[5]["record_id"] is None
    assert {rows[i]["outcome"] for i in rows if i != 5} == {"missing"}


@pytest.mark.versions
def test_timestamps_are_kept(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output]
) -> None:
    """The results have the source's timestamps, to the microsecond and in the same time zone."""
    run, manifest, output = prepared
    collect(spark, run, manifest, output.jobs)
    wrong = results(spark, run, manifest).where("at != timestamp_micros(id * 1000003)")
    assert results(spark, run, manifest).where("at IS NULL").count() == 0
    assert wrong.count() == 0


def test_attempts_are_merged_record_by_record(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output]
) -> None:
    """A success replaces an error. Records that may still be answered are listed as unanswered."""
    run, manifest, output = prepared
    shard = manifest.shards[0]
    ids = output.ids(shard)
    first = {ids[0]: error(500), ids[1]: error(400), ids[2]: answer("early")}
    second = {ids[0]: answer("late"), ids[3]: error(429), ids[4]: error(400, retryable=False)}
    output.settle(shard, first, attempt=1, status="Stopped")
    output.settle(shard, second, attempt=2)
    _, rows = collected(spark, run, manifest, output.jobs)
    by_id = {row["record_id"]: row for row in rows.values()}
    assert [by_id[i]["outcome"] for i in ids[:6]] == [
        "ok", "error", "ok", "error", "error", "missing",
    ]  # fmt: skip
    assert (by_id[ids[0]]["text"], by_id[ids[0]]["attempt"]) == ("late", 2)
    assert by_id[ids[1]]["error_code"] == 400
    unanswered = read_reconciled(run.storage, shard.shard_id).unanswered_ids
    assert list(unanswered) == sorted([ids[3], *ids[5:]])


def test_output_that_does_not_match_is_a_finding(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output]
) -> None:
    """Foreign, repeated, twice paid or truncated lines and wrong counts do not stop collect."""
    run, manifest, output = prepared
    shard = manifest.shards[0]
    ids = output.ids(shard)
    path = output.settle(
        shard,
        {i: answer("x") for i in [*ids, "foreign0000"]},
        successRecordCount=len(ids) - 1,
        errorRecordCount=0,
    )
    lines = path.read_bytes().split(b"\n")
    line_of_first = next(line for line in lines if ids[0].encode() in line)
    path.write_bytes(path.read_bytes() + line_of_first + b"\n" + line_of_first[:30])
    output.settle(shard, {ids[1]: answer("again")}, attempt=2)
    report, _ = collected(spark, run, manifest, output.jobs)
    kinds = sorted(f["kind"] for f in report.findings)
    assert kinds == ["bad_line", "count_mismatch", "foreign_record", "paid_twice", "repeated"]
    text = json.dumps(report.findings)
    assert ids[1] in text
    assert f"byte {path.read_bytes().rfind(line_of_first[:30])}" in text


def test_only_changed_shards_are_collected_again(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output], tmp_path: Path
) -> None:
    """Collect does not rewrite a shard whose inputs have not changed."""
    run, manifest, output = prepared
    first, second, *_ = manifest.shards
    output.settle(first, {i: answer("x") for i in output.ids(first)})
    before = collect(spark, run, manifest, output.jobs)
    files = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "results").iterdir()}
    output.settle(second, {i: answer("y") for i in output.ids(second)})
    after = collect(spark, run, manifest, output.jobs)
    changed = {
        p.name for p in (tmp_path / "results").iterdir() if p.stat().st_mtime_ns != files[p.name]
    }
    assert changed == {f"{second.shard_id}.parquet"}
    assert [b for b in before if b.unit != second.shard_id] == [
        a for a in after if a.unit != second.shard_id
    ]


def test_a_missing_results_file_is_written_again(
    spark: SparkSession, prepared: tuple[Run, RunManifest, Output], tmp_path: Path
) -> None:
    """The reconciliation is written last, so a shard without one is collected again."""
    run, manifest, output = prepared
    collect(spark, run, manifest, output.jobs)
    shard = manifest.shards[0].shard_id
    (tmp_path / "reconciliation" / f"{shard}.json").unlink()
    (tmp_path / "results" / f"{shard}.parquet").unlink()
    _, rows = collected(spark, run, manifest, output.jobs)
    assert len(rows) == 120


@pytest.mark.versions
def test_answers_become_typed_columns(spark: SparkSession, tmp_path: Path) -> None:
    """Spark reads the columns with the types of results.parse; rejected rows have nulls in them."""
    columns = "label string NOT NULL, at_most double, seen timestamp, n map<string,int>"
    parse = {"results": {"parse": columns, "model_output": "drop"}}
    run = open_run(make_config(str(tmp_path), **parse), SystemClock())
    df = spark.range(30).selectExpr("id", "IF(id != 5, concat('text ', id), null) AS body")
    manifest, output = prepare(spark, run, df), Output(run, tmp_path)
    valid = '{"label": "bug", "at_most": 3, "seen": "2026-11-22T10:30:00Z", "n": {"a": 1}}'
    for shard in manifest.shards:
        lines = {i: answer(f"It is ```json\n{valid}\n```") for i in output.ids(shard)}
        output.settle(shard, {**lines, output.ids(shard)[0]: answer('{"at_most": 1}')})
    report, rows = collected(spark, run, manifest, output.jobs)
    invalid = len(manifest.shards)
    expected_rows = {"ok": 29 - invalid, "invalid": invalid, "rejected": 1}
    assert report.outcomes == all_outcomes(expected_rows)
    df = results(spark, run, manifest)
    assert "model_output" not in df.columns
    expected = "label = 'bug' AND at_most = 3.0 AND n['a'] = 1 AND unix_seconds(seen) = 1795343400"
    assert df.where(expected).count() == 29 - invalid
    assert rows[5]["label"] is None
    clashing = make_config(str(tmp_path), results={"parse": "body string"})
    with pytest.raises(ConfigError, match="column body has the name of a result column"):
        collect(spark, replace(run, config=clashing), manifest, output.jobs)
