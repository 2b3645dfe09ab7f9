"""The answers of a run are added to the store, once, whatever dies; the next run finds them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.answers.store import pin_files
from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.kept_note import KeptNote, read_kept_note
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.keep import stage
from bedrock_spark.spark.keep.stage import keep_answers
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import make_config

# What became of two questions of the first run.
ENDED = {"question 1": "refusal", "question 2": "max_tokens"}
PROMPT = "Classify: "
PRICES = {"batch": {"input": 1, "output": 10}}


class Lake:
    """Runs that share a store of answers."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self.store = LocalStorage(str(folder / "store"))

    def prepare(self, name: str, df: DataFrame, **answers: Any) -> tuple[Run, RunManifest]:
        section = {"uri": self.store.uri, **answers}
        config = make_config(
            str(self.folder / name), answers=section, prices=PRICES, shards={"max_records": 12}
        )
        run = open_run(config, SystemClock())
        manifest = prepare(self.spark, run, df)
        # What began the run has its time, as every later process has it.
        return open_run(config, SystemClock()), manifest

    def keep(self, run: Run, manifest: RunManifest) -> KeptNote:
        note = keep_answers(self.spark, run, collect(self.spark, run, manifest, {}))
        assert note is not None
        assert read_kept_note(run.storage, self.store.uri) == note
        return note

    def rows(self) -> list[dict[str, Any]]:
        tables = [pq.read_table(self.folder / "store" / f.key) for f in pin_files(self.store)]
        rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
        return rows

    def files(self) -> dict[str, bytes]:
        return {f.key: self.store.read(f.key) for f in pin_files(self.store)}


def answer(run: Run, shard: str, key: str, stop_reasons: dict[str, str] | None = None) -> None:
    """Write the output of a job that answers a whole shard; `stop_reasons` by question."""
    lines = []
    for line in map(json.loads, run.storage.read(key).splitlines()):
        question = line["modelInput"]["messages"][0]["content"][0]["text"].removeprefix(PROMPT)
        output = {
            "content": [{"type": "text", "text": f"re: {question}"}],
            "stop_reason": (stop_reasons or {}).get(question, "end_turn"),
            "usage": {"input_tokens": 7, "output_tokens": 3},
        }
        lines.append(json.dumps({"recordId": line["recordId"], "modelOutput": output}))
    place = f"output/{shard}/a1-abc/job1/{shard}.jsonl.out"
    run.storage.write(place, "\n".join(lines).encode())


def answer_all(run: Run, manifest: RunManifest, **stop_reasons: str) -> None:
    for shard in manifest.shards:
        answer(run, shard.shard_id, shard.key, stop_reasons)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path)


def die(*_: object) -> None:
    raise KeyboardInterrupt


def table(spark: SparkSession, *questions: str) -> DataFrame:
    rows = list(enumerate(questions))
    return spark.createDataFrame(rows, "id int, body string")


def test_the_answers_of_a_run_are_kept_once(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are ok; each once, though rows share it, with all that it has cost.

    A process that dies before it has noted the files leaves them to the next one, which writes the
    same. What is collected later is added without what is there.
    """
    questions = [f"question {n}" for n in range(20)]
    df = table(spark, *questions, "question 0", "question 0")
    run, manifest = lake.prepare("one", df)
    late, *others = manifest.shards
    assert others
    for shard in others:
        answer(run, shard.shard_id, shard.key, ENDED)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_kept_note", die)
        with pytest.raises(KeyboardInterrupt):
            lake.keep(run, manifest)
    left = lake.files()
    first = lake.keep(run, manifest)
    assert lake.files() == left
    assert len(left) == first.files == 1
    answered = sum(shard.records for shard in others)
    assert first.answers == len(lake.rows()) <= answered

    assert lake.keep(run, manifest) == first
    assert lake.files() == left

    answer(run, late.shard_id, late.key, ENDED)
    second = lake.keep(run, manifest)
    assert second.answers == 18
    assert second.files == len(lake.files()) == 2
    rows = lake.rows()
    assert {row["model_output"].split("re: ")[1].split('"')[0] for row in rows} == {
        question for question in questions if question not in ("question 1", "question 2")
    }
    assert all(row["cost_usd"] == pytest.approx(0.007 + 0.03) for row in rows)
    assert {(row["run_id"], row["served_by"], row["outcome"]) for row in rows} == {
        (run.run_id, "batch", "ok")
    }

    again, next_manifest = lake.prepare("two", df)
    assert (next_manifest.kept_rows, next_manifest.records) == (20, 2)
    answer_all(again, next_manifest)
    assert lake.keep(again, next_manifest).answers == 2, "kept answers are not kept again"


@pytest.mark.long
def test_large_writes_are_files_of_ranges(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is sorted, no two overlap, and what `answers.keep` names is in them, too."""
    run, manifest = lake.prepare("one", table(spark, *map(str, range(60))), keep="truncated")
    answer_all(run, manifest, **{"7": "max_tokens", "8": "refusal"})
    monkeypatch.setattr(stage, "FILE_BYTES", 8_000)
    note = lake.keep(run, manifest)
    files = sorted(pin_files(lake.store), key=lambda file: file.first)
    assert note.files == len(files) > 1
    assert all(a.last < b.first for a, b in pairwise(files))
    rows = lake.rows()
    assert note.answers == len(rows) == 59
    assert [row["outcome"] for row in rows].count("truncated") == 1
    _, manifest = lake.prepare("two", table(spark, "7", "8", "9"), keep="truncated")
    assert (manifest.kept_rows, manifest.records) == (2, 1)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["read", "off"])
def test_a_run_that_only_reads_adds_nothing(lake: Lake, spark: SparkSession, mode: str) -> None:
    run, manifest = lake.prepare("one", table(spark, "a", "b"), mode=mode)
    answer_all(run, manifest)
    assert keep_answers(spark, run, collect(spark, run, manifest, {})) is None
    assert not lake.store.list("")


@pytest.mark.long
def test_two_runs_may_write_at_once(lake: Lake, spark: SparkSession) -> None:
    """Each adds files of its own; the answers of both are found."""
    both = [lake.prepare(str(n), table(spark, f"a{n}", f"b{n}", "same")) for n in range(2)]
    for run, manifest in both:
        answer_all(run, manifest)
    with ThreadPoolExecutor(2) as pool:
        notes = list(pool.map(lambda pair: lake.keep(*pair), both))
    assert [note.answers for note in notes] == [3, 3]
    assert len(lake.rows()) == 6
    _, manifest = lake.prepare("next", table(spark, "a0", "b0", "a1", "b1", "same", "new"))
    assert (manifest.kept_rows, manifest.records) == (5, 1)
