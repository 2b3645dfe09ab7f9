"""Which units a collect sends to Spark: those whose inputs or files have changed, and no others."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reconciliations import read_table, write_table
from bedrock_spark.outputs.stored_rows import StoredRow
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import Place
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import KeptRows, RejectedRows, RunManifest, Shard
from bedrock_spark.schema import REJECT_COLUMN, REJECT_REASON, ROW_RECORD_ID
from bedrock_spark.spark.collect.changed import ChangedUnits
from bedrock_spark.spark.collect.task import CollectTask
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage

PREPARE_ID = "0a1b2c3d4e5f"
SHARDS = ("shard-00001-00", "shard-00001-01", "shard-00001-02")
FIRST, SECOND, _ = SHARDS
REJECTS = RejectedRows(1, 2)
UNITS = {*SHARDS, REJECTS.unit}
# A job in another place, whose output may come late.
PLACE = Place("us-west-2", "m", "s3://other/run")


class CollectedRun:
    """A run of three shards, whose second job claims an answer too many, and of two rejected rows.

    The first shard has an answer of the fallback and a dead letter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalStorage(str(folder))
        shards = tuple(Shard(s, 3, 10, "0" * 64, prepare_id=PREPARE_ID) for s in SHARDS)
        self.manifest = RunManifest("r", 11, "n INT", shards, (REJECTS,), PREPARE_ID)
        for shard in SHARDS:
            self.write_table(layout.rows_key(shard, PREPARE_ID), {ROW_RECORD_ID: ["a", "b", "c"]})
            self.write_answers(shard, "ab")
        rejected = {"n": [1, 2], REJECT_COLUMN: ["n", "n"], REJECT_REASON: ["is null", "is null"]}
        self.write_table(layout.rejects_key(1, PREPARE_ID), rejected)
        self.jobs = {shard: [self.job(shard, succeeded=2)] for shard in SHARDS}
        self.jobs[SECOND] = [self.job(SECOND, succeeded=3)]
        self.task = CollectTask(
            self.storage, "anthropic", result_columns_of(ResultsConfig()), PREPARE_ID
        )

    @staticmethod
    def job(shard: str, status: str = "Completed", succeeded: int = 2) -> Job:
        arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/job1"
        seen = SeenJob(arn, shard, "t", status, succeeded=succeeded, failed=0)
        return Job(shard, 1, shard, "t", seen)

    def write_table(self, key: str, columns: dict[str, list[object]]) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        self.storage.write(key, sink.getvalue())

    def write_answers(self, shard: str, ids: str) -> None:
        text = '{{"recordId":"{}","modelOutput":{{"content":[{{"type":"text","text":"x"}}]}}}}\n'
        lines = "".join(text.format(i) for i in ids)
        self.storage.write(f"output/{shard}/a1-0f/job1/{shard}.jsonl.out", lines.encode())

    def changed(self) -> ChangedUnits:
        return ChangedUnits(self.task, self.manifest, self.jobs)

    def changed_units(self) -> set[str]:
        """Return the units that a collect would send to Spark now; check the others."""
        changed = self.changed()
        sent = [work.unit for work, _ in changed]
        assert len(sent) == len(set(sent))
        assert set(changed.rows) == UNITS - set(sent)
        rows = {SECOND: 3, REJECTS.unit: 2}
        assert changed.changed_rows == sum(rows.get(unit, 3) for unit in sent)
        return set(sent)

    def collect(self, *, writes_table: bool = True) -> None:
        """Collect what has changed; die before the table is written if that is asked for."""
        changed = self.changed()
        done = [self.task(work) for work, _ in changed]
        rows = changed.rows
        for unit in done:
            row = StoredRow(unit.version, unit.reconciled.to_json())
            rows[unit.reconciled.unit] = row
        if writes_table:
            write_table(self.storage, rows)

    def delete(self, key: str) -> None:
        self.storage.delete([key])


@pytest.fixture
def run(tmp_path: Path) -> CollectedRun:
    run = CollectedRun(tmp_path)
    assert run.changed_units() == UNITS
    run.collect()
    assert run.changed_units() == set()
    return run


def change_jobs(run: CollectedRun) -> None:
    run.jobs[FIRST] = [run.job(FIRST, "Stopped")]


def add_place(run: CollectedRun) -> None:
    """The second shard lacks an answer, which may be in the folder of its job's target."""
    for shard in SHARDS:
        run.jobs[shard] = [structs.replace(job, place=PLACE) for job in run.jobs[shard]]
    run.task = replace(run.task, folders={PLACE: run.storage})


def damage_table(run: CollectedRun) -> None:
    run.storage.write(layout.RECONCILIATIONS_FILE, b"damaged")


def change_rules(run: CollectedRun) -> None:
    run.task = replace(run.task, rules="others")


def recommit(run: CollectedRun) -> None:
    """Another process has collected the shard after the table was written."""
    key = layout.reconciliation_key(FIRST)
    run.storage.write(key, run.storage.read(key) + b" ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda run: None, set()),
        (lambda run: run.write_answers(FIRST, "abc"), {FIRST}),
        (lambda run: run.storage.write(f"fallback/{FIRST}/1.jsonl.out", b""), {FIRST}),
        (lambda run: run.storage.write(f"output/{FIRST}/a2-0f/j/x.jsonl.out", b""), {FIRST}),
        (lambda run: run.delete(f"output/{FIRST}/a1-0f/job1/{FIRST}.jsonl.out"), {FIRST}),
        (lambda run: run.delete(layout.results_key(FIRST)), {FIRST}),
        (lambda run: run.delete(layout.deadletters_key(FIRST)), {FIRST}),
        (lambda run: run.delete(layout.reconciliation_key(FIRST)), {FIRST}),
        (lambda run: run.delete(layout.results_key(REJECTS.unit)), {REJECTS.unit}),
        (lambda run: run.storage.write(layout.image_key(FIRST, "a", 0, "png"), b"x"), set()),
        (lambda run: run.storage.write("output/shard-99999-00/a1-0f/j/x.jsonl.out", b""), set()),
        (lambda run: run.delete(layout.RECONCILIATIONS_FILE), UNITS),
        (damage_table, UNITS),
        (recommit, {FIRST}),
        (change_jobs, {FIRST}),
        (change_rules, UNITS),
        (add_place, {SECOND}),
    ],
)
def test_only_changed_units_are_sent(
    run: CollectedRun, change: Callable[[CollectedRun], None], expected: set[str]
) -> None:
    """Whatever has changed: the unit is collected again, and the next collect finds it current."""
    change(run)
    assert run.changed_units() == expected
    run.collect()
    assert run.changed_units() == (expected if change is add_place else set())


def test_units_that_a_killed_collect_has_finished_are_not_read_again(
    run: CollectedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table lacks them: their tasks find their reconciliations, and the table is whole."""
    run.delete(layout.RECONCILIATIONS_FILE)
    run.write_answers(FIRST, "abc")
    run.collect(writes_table=False)
    assert run.changed_units() == UNITS
    with monkeypatch.context() as patch:
        patch.setattr(CollectTask, "_join", None)
        patch.setattr(CollectTask, "_collect_rejects", None)
        run.collect()
    assert run.changed_units() == set()
    assert read_table(run.storage)[FIRST].decode().outcomes["ok"] == 3


def test_the_inputs_of_a_shard_travel_with_it(run: CollectedRun) -> None:
    """So a task lists nothing; its size is that of its inputs."""
    run.write_answers(FIRST, "c")
    ((work, size),) = run.changed()
    assert work.inputs is not None
    assert [stored.key for stored in work.inputs] == [
        f"output/{FIRST}/a1-0f/job1/{FIRST}.jsonl.out"
    ]
    assert size == work.inputs[0].size > 0


@pytest.mark.parametrize("data", [None, b"cut short"])
def test_kept_answers_that_are_gone_are_an_error(tmp_path: Path, data: bytes | None) -> None:
    """No one asks their rows again: they must not become `missing`."""
    run = CollectedRun(tmp_path)
    kept = KeptRows(layout.kept_unit(0, 0), 2, 2, 12)
    run.manifest = replace(run.manifest, kept=(kept,))
    key = layout.kept_key(kept.unit, PREPARE_ID)
    run.storage.write(key, b"twelve bytes")
    assert kept.unit in {work.unit for work, _ in run.changed()}
    run.storage.delete([key])
    if data is not None:
        run.storage.write(key, data)
    with pytest.raises(RunFolderError, match="the kept answers of 2 rows are not as prepare wrote"):
        list(run.changed())
