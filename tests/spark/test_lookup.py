"""Rows whose answers were kept are no records: they become results, and nothing asks them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.answers.digest import asking_of, request_digest
from bedrock_spark.answers.lookup import NEW, OTHER_REQUEST
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import AnswerStoreError, TooManyRejectsError
from bedrock_spark.report import build_report, check_complete, totals_of
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.schema import ROW_BODY_SHA256
from bedrock_spark.shards.hash_ranges import part_of
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare import lookup as looking
from bedrock_spark.spark.prepare import rehearsal, repartitioning, stage
from bedrock_spark.spark.prepare.cut_rows import cut_rows
from bedrock_spark.spark.prepare.rehearsal import rehearse
from bedrock_spark.spark.prepare.shuffle import route, with_ids
from bedrock_spark.spark.prepare.size_estimate import estimate_size
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.prepare.streamed_answers import with_answers
from bedrock_spark.spark.results import results
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import CLAUDE, make_config
from tests.unit.answers.rows import write

PARSED = {"results": {"parse": {"columns": "label string NOT NULL"}}}


class Lake:
    """A folder with runs and a store of answers."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self.store = LocalStorage(str(folder / "store"))
        self.runs = 0

    def open(self, *, answers: dict[str, Any] | None = None, **sections: Any) -> Run:
        """Return a new run with the store."""
        self.runs += 1
        section = {"uri": self.store.uri, **(answers or {})}
        uri = str(self.folder / f"run-{self.runs}")
        return open_run(make_config(uri, answers=section, **sections), SystemClock())

    def prepare(self, df: DataFrame, **sections: Any) -> tuple[Run, RunManifest]:
        run = self.open(**sections)
        return run, prepare(self.spark, run, df)

    def keep(
        self,
        run: Run,
        manifest: RunManifest,
        answered: Callable[[str], dict[str, Any] | None],
        **values: Any,
    ) -> int:
        """Keep an answer for each record of a run for which `answered` returns one.

        answered: takes the question
        """
        rows = []
        for body in bodies_of(run, manifest):
            output = answered(question(body))
            if output is not None:
                rows.append(kept_row(run, body, output) | values)
        write(self.store, rows, label=f"answers-{self.runs}")
        return len(rows)


def bodies_of(run: Run, manifest: RunManifest) -> Iterable[bytes]:
    for shard in manifest.shards:
        for line in run.storage.read(shard.key).splitlines():
            yield line.partition(b'"modelInput":')[2][:-1]


def question(body: bytes) -> str:
    text: str = json.loads(body)["messages"][0]["content"][0]["text"]
    return text


def kept_row(run: Run, body: bytes, output: dict[str, Any]) -> dict[str, Any]:
    digest = request_digest(hashlib.sha256(body).digest(), asking_of(run.config).context(CLAUDE))
    return dict.fromkeys(SCHEMA.names) | {
        "body_hash": body_hash(body),
        "request_digest": digest,
        "answered_at": 1_700_000_000_123_456,
        "outcome": "ok",
        "model_id": 'a "model"',
        "run_id": "first",
        "model_output": json.dumps(output, ensure_ascii=False),
    }


def says(text: str) -> dict[str, Any]:
    return {
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }


def echo(question: str) -> dict[str, Any]:
    return says(f"antwört: {question}")


def thirds(question: str, rest: int) -> dict[str, Any] | None:
    """Answer the questions whose number has this rest."""
    return echo(question) if int(question.split()[-1]) % 3 == rest else None


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path)


def table(spark: SparkSession, rows: int, bodies: int | None = None) -> DataFrame:
    """Return rows with keys, and `bodies` different bodies. Row 5 has none."""
    number = F.col("id") if bodies is None else F.col("id") % bodies
    text = F.concat(F.lit("text "), number)
    return spark.range(rows).select(
        "id", F.when(F.col("id") != 5, text).alias("body"), (F.col("id") * 2).alias("twice")
    )


def collected(spark: SparkSession, run: Run, manifest: RunManifest) -> dict[int, dict[str, Any]]:
    """Return the result rows by source id, when all rows are accounted for."""
    totals = totals_of(manifest, collect(spark, run, manifest, {}))
    check_complete(build_report(run, manifest, {}, totals, {}))
    return {row["id"]: row.asDict() for row in results(spark, run, manifest).collect()}


def test_a_second_run_over_an_unchanged_source_has_nothing_to_ask(
    spark: SparkSession, lake: Lake
) -> None:
    """Every row that was answered has its answer, and the others are rejected as before."""
    df = table(spark, 300, bodies=120)
    first, manifest = lake.prepare(df)
    assert (manifest.kept_rows, manifest.records, manifest.why_asked) == (0, 120, {NEW: 299})
    assert lake.keep(first, manifest, echo) == 120
    run, again = lake.prepare(df)
    assert (again.shards, again.kept_rows, again.rejected) == ((), 299, 1)
    assert sum(unit.records for unit in again.kept) == 120
    assert not run.storage.list(layout.shards_prefix(again.prepare_id))
    rows = collected(spark, run, again)
    assert len(rows) == 300
    assert rows[5]["outcome"] == "rejected"
    for number, row in rows.items():
        if number != 5:
            assert row["text"] == f"antwört: Classify: text {number % 120}"
            assert (row["outcome"], row["served_by"]) == ("ok", "kept")
            assert (row["job_arn"], row["twice"]) == (None, 2 * number)
            assert (row["run_id"], row["model_id"], row["cost_usd"]) == ("first", 'a "model"', 0.0)
            assert row["answered_at"].timestamp() == pytest.approx(1_700_000_000.123456)
    assert read_manifest(run.storage) == again


def test_only_new_rows_are_asked(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day after: 3 rows are new, 2 have another text.

    The answers are in many small files, which are read once: their answers come with the rows.
    """
    monkeypatch.setattr(looking, "_PART_ROWS", 100)
    monkeypatch.setattr("bedrock_spark.spark.prepare.streamed_answers._FEW_FILES", 1)
    first, manifest = lake.prepare(table(spark, 300))
    for rest in range(3):
        lake.keep(first, manifest, lambda text, rest=rest: thirds(text, rest))
        lake.runs += 1
    streamed: list[int] = []

    def counted(*arguments: Any) -> DataFrame:
        streamed.append(len(arguments[3]))
        return with_answers(*arguments)

    monkeypatch.setattr(looking, "with_answers", counted)
    changed = table(spark, 303).withColumn(
        "body", F.when(F.col("id") < 2, F.lit("other")).otherwise(F.col("body"))
    )
    run, again = lake.prepare(changed, shards={"min_records": 1})
    assert (again.rows, again.kept_rows, again.records, again.rejected) == (303, 297, 4, 1)
    assert again.sharing == 1
    assert again.why_asked == {NEW: 5}
    assert streamed == [3]
    asked = {question(body) for body in bodies_of(run, again)}
    assert asked == {"Classify: other", *(f"Classify: text {n}" for n in (300, 301, 302))}
    rows = collected(spark, run, again)
    missing = {number for number, row in rows.items() if row["outcome"] == "missing"}
    assert missing == {0, 1, 300, 301, 302}


def test_a_store_without_these_answers_makes_no_second_shuffle(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks of the lookup cut their own rows. A plan that needs these rows has the same shards.

    So has a run whose estimate of the size was wrong.
    """
    first, manifest = lake.prepare(table(spark, 300))
    assert lake.keep(first, manifest, lambda text: thirds(text, 0)) == 100
    df = table(spark, 3_000, bodies=2_900).withColumn("body", F.concat("body", F.lit("!")))
    sections = {"shards": {"max_records": 500, "min_records": 5}}
    second: list[int] = []
    own = repartitioning.repartition_by_range

    def counted(rows: DataFrame, buckets: int) -> DataFrame:
        second.append(buckets)
        return own(rows, buckets)

    monkeypatch.setattr(repartitioning, "repartition_by_range", counted)
    _, cut = lake.prepare(df, **sections)
    assert (cut.rows, cut.records, cut.rejected, cut.kept_rows) == (3_000, 2_900, 1, 0)
    assert cut.why_asked == {NEW: 2_999}
    assert len(cut.shards) > 5
    assert second == []
    monkeypatch.setattr(
        rehearsal, "cut_rows", lambda *own, **names: cut_rows(*own, **{**names, "keeps_rows": True})
    )
    plan = rehearse(spark, lake.open(**sections), df)
    assert second
    digests = {shard.shard_id: shard.sha256 for shard in cut.shards}
    assert {shard.shard_id: shard.sha256 for shard in plan.shards} == digests

    def wrong(*arguments: Any) -> SourceSize:
        size = estimate_size(*arguments)
        return replace(size, records=size.records // 3, line_bytes=size.line_bytes // 3)

    monkeypatch.setattr(repartitioning, "estimate_size", wrong)
    run, again = lake.prepare(df, **sections)
    assert {shard.shard_id: shard.sha256 for shard in again.shards} == digests
    assert len(run.storage.list(layout.shards_prefix(again.prepare_id))) == len(again.shards)


@pytest.mark.long
def test_the_ids_of_kept_and_asked_rows_are_those_of_a_run_without_a_store(
    spark: SparkSession, lake: Lake
) -> None:
    """So a record has one id in every run."""
    df = table(spark, 200)
    first, manifest = lake.prepare(df)
    ids = {row["id"]: row["record_id"] for row in collected(spark, first, manifest).values()}
    lake.keep(first, manifest, lambda text: echo(text) if int(text.split()[-1]) % 2 else None)
    run, again = lake.prepare(df)
    assert again.kept_rows == 99
    rows = collected(spark, run, again)
    assert {number: row["record_id"] for number, row in rows.items()} == ids


@pytest.mark.long
@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ({}, 59),
        ({"mode": "read"}, 59),
        ({"mode": "refresh"}, 0),
        ({"mode": "off"}, 0),
        ({"max_age": "1h"}, 0),
    ],
    ids=lambda value: json.dumps(value),
)
def test_the_mode_and_the_age_decide_what_is_looked_up(
    spark: SparkSession, lake: Lake, answers: dict[str, Any], kept: int
) -> None:
    first, manifest = lake.prepare(table(spark, 60))
    lake.keep(first, manifest, echo)
    _, again = lake.prepare(table(spark, 60), answers=answers)
    assert again.kept_rows == kept
    assert again.records == 59 - kept


@pytest.mark.long
def test_answers_of_another_model_do_not_count(spark: SparkSession, lake: Lake) -> None:
    first, manifest = lake.prepare(table(spark, 60))
    lake.keep(first, manifest, echo)
    _, again = lake.prepare(table(spark, 60), model={"id": "anthropic.claude-sonnet-4-6"})
    assert (again.kept_rows, again.records) == (0, 59)
    assert again.why_asked == {OTHER_REQUEST: 59}


@pytest.mark.long
def test_answers_that_do_not_fit_today_are_asked_again(spark: SparkSession, lake: Lake) -> None:
    """The columns of `results.parse` are not a part of the request here."""
    sections: dict[str, Any] = {"request": {"schema": "none"}}
    first, manifest = lake.prepare(table(spark, 60), **sections)

    def answered(text: str) -> dict[str, Any]:
        is_even = int(text.split()[-1]) % 2 == 0
        return says('{"label": "a"}' if is_even else "no JSON")

    lake.keep(first, manifest, answered)
    run, again = lake.prepare(table(spark, 60), **PARSED, **sections)
    assert (again.kept_rows, again.records) == (30, 29)
    assert again.why_asked == {"not_accepted": 29}
    rows = collected(spark, run, again)
    assert {row["label"] for n, row in rows.items() if n % 2 == 0} == {"a"}


@pytest.mark.long
def test_kept_outcomes_are_used_by_runs_that_name_them(spark: SparkSession, lake: Lake) -> None:
    first, manifest = lake.prepare(table(spark, 60))
    cut = says("half") | {"stop_reason": "max_tokens"}
    lake.keep(first, manifest, lambda _: cut, outcome="truncated")
    _, without = lake.prepare(table(spark, 60))
    run, named = lake.prepare(table(spark, 60), answers={"keep": ["truncated"]})
    assert (without.kept_rows, named.kept_rows) == (0, 59)
    reconciled = collect(spark, run, named, {})
    assert sum(unit.outcomes.get("truncated", 0) for unit in reconciled) == 59
    assert sum(unit.unanswered for unit in reconciled) == 0


@pytest.mark.long
def test_parts_and_units_of_any_size_give_the_same_rows(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that share a body may be cut apart anywhere: each unit has the answers of its rows."""
    monkeypatch.setattr(looking, "_PART_ROWS", 70)
    monkeypatch.setattr("bedrock_spark.spark.prepare.lookup_task._CHUNK_ROWS", 33)
    df = table(spark, 400, bodies=20)
    first, manifest = lake.prepare(df)
    lake.keep(first, manifest, echo)
    run, again = lake.prepare(df, shards={"max_row_bytes": 600, "max_records": 10})
    assert len({unit.unit.split("-")[1] for unit in again.kept}) > 3
    assert len(again.kept) > 20
    assert again.kept_rows == 399
    for unit in again.kept:
        lines = run.storage.read(layout.kept_key(unit.unit, again.prepare_id)).splitlines()
        assert len({json.loads(line)["recordId"] for line in lines}) == len(lines) == unit.records
    rows = collected(spark, run, again)
    texts = {n: row["text"] for n, row in rows.items() if n != 5}
    assert texts == {n: f"antwört: Classify: text {n % 20}" for n in range(400) if n != 5}


@pytest.mark.long
def test_two_bodies_with_one_hash_are_both_asked(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two records could have one id."""
    df = table(spark, 60)
    first, manifest = lake.prepare(df)
    lake.keep(first, manifest, echo)
    [left, right] = [body_hash(body) for body in list(bodies_of(first, manifest))[:2]]

    def colliding(*arguments: Any, **options: Any) -> DataFrame:
        hashed = F.when(F.col("_bs_hash") == left, right).otherwise(F.col("_bs_hash"))
        return with_ids(*arguments, **options).withColumn("_bs_hash", hashed)

    monkeypatch.setattr(looking, "with_ids", colliding)
    run, again = lake.prepare(df, shards={"min_records": 1})
    assert (again.kept_rows, again.records, again.rejected) == (57, 2, 1)
    rows = collected(spark, run, again)
    ids = [row["record_id"] for row in rows.values() if row["record_id"] is not None]
    assert len(set(ids)) == len(ids) == 59


@pytest.mark.long
def test_rows_that_are_rejected_have_no_kept_answer(spark: SparkSession, lake: Lake) -> None:
    """Rows that repeat a key, and rows without one. Their share is that of all rows."""
    df = table(spark, 60)
    first, manifest = lake.prepare(df)
    lake.keep(first, manifest, echo)
    odd = df.union(df.where("id = 7")).union(
        spark.sql("select cast(null as bigint) id, 'text 9' body, 1L twice")
    )
    source = {"on_duplicate_key": "first", "max_rejects": "4%"}
    run, again = lake.prepare(odd, source=source)
    assert (again.rows, again.kept_rows, again.rejected) == (62, 59, 3)
    assert collected(spark, run, again)[7]["outcome"] in ("ok", "rejected")
    with pytest.raises(TooManyRejectsError, match="2 of 62 rows"):
        lake.prepare(odd, source={**source, "max_rejects": "3%"})


def test_a_plan_looks_up_and_writes_nothing(spark: SparkSession, lake: Lake) -> None:
    first, manifest = lake.prepare(table(spark, 60))
    lake.keep(first, manifest, lambda text: echo(text) if text.endswith("0") else None)
    run = lake.open(shards={"min_records": 1})
    plan = rehearse(spark, run, table(spark, 60))
    assert (plan.rows, plan.kept, plan.rejected) == (60, 6, 1)
    assert plan.why_asked == {NEW: 53}
    assert sum(shard.records for shard in plan.shards) == 53
    assert not Path(run.storage.uri).exists()


@pytest.mark.long
def test_a_store_that_lost_a_file_ends_prepare(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked once more because a file could not be read."""
    first, manifest = lake.prepare(table(spark, 60))
    lake.keep(first, manifest, echo)
    own = looking.pin_files

    def lost(storage: LocalStorage) -> Any:
        files = own(storage)
        storage.delete([file.key for file in files])
        return files

    monkeypatch.setattr(looking, "pin_files", lost)
    run = lake.open()
    with pytest.raises(AnswerStoreError, match="was deleted since"):
        prepare(spark, run, table(spark, 60))
    assert read_manifest(run.storage) is None


def test_a_kill_between_the_lookup_and_the_commit_leaves_nothing_behind(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next prepare looks up again, and deletes what the killed one wrote."""
    first, manifest = lake.prepare(table(spark, 60))
    lake.keep(first, manifest, echo)
    run = lake.open()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage, "_check_before_commit", die)
        with pytest.raises(KeyboardInterrupt):
            prepare(spark, run, table(spark, 60))
    assert run.storage.list("kept/")
    again = prepare(spark, open_run(run.config, SystemClock()), table(spark, 60))
    assert again.kept_rows == 59
    keys = {o.key for o in run.storage.list("kept/")} | {o.key for o in run.storage.list("rows/")}
    named = [unit.unit for unit in again.kept]
    expected = {layout.kept_key(unit, again.prepare_id) for unit in named}
    assert keys == expected | {layout.rows_key(unit, again.prepare_id) for unit in named}


@pytest.mark.long
@pytest.mark.parametrize("parts", [1, 2, 7, 64, 1_000])
def test_spark_puts_each_hash_into_its_part(spark: SparkSession, parts: int) -> None:
    """By the same ranges as the tasks compute."""
    hashes = [
        -(2**63),
        -(2**63) + 1,
        -1,
        0,
        1,
        2**63 - 1,
        *(n * 10**16 for n in range(-900, 900, 37)),
    ]
    df = spark.createDataFrame([(h,) for h in hashes], "h bigint")
    routed = df.repartition(parts, route(F.col("h"), parts))
    pairs = routed.select("h", F.spark_partition_id()).collect()
    expected = dict(zip(hashes, part_of(np.array(hashes), parts).tolist(), strict=True))
    assert {row[0]: row[1] for row in pairs} == expected


@pytest.mark.long
def test_kept_rows_are_parquet_like_those_of_a_shard(spark: SparkSession, lake: Lake) -> None:
    df = table(spark, 60)
    first, manifest = lake.prepare(df)
    lake.keep(first, manifest, echo)
    run, again = lake.prepare(df)
    (unit,) = again.kept
    own = pq.read_table(Path(run.storage.uri) / layout.rows_key(unit.unit, again.prepare_id))
    shard = manifest.shards[0]
    other = pq.read_table(
        Path(first.storage.uri) / layout.rows_key(shard.shard_id, shard.prepare_id)
    )
    # The digest of a kept answer is in its line.
    assert own.schema == other.schema.remove(other.schema.get_field_index(ROW_BODY_SHA256))
    line = json.loads(
        run.storage.read(layout.kept_key(unit.unit, again.prepare_id)).splitlines()[0]
    )
    assert line["modelId"] == 'a "model"'
    assert (line["runId"], line["endedAt"]) == ("first", 1_700_000_000.123456)
    assert len(line["requestDigest"]) == 64
