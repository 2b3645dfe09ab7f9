"""Output that comes late to the folder of a job's target is collected, whatever state it is in."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import StorageError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import Place, output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import ROW_RECORD_ID
from bedrock_spark.spark.collect.late_output import folders_of
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage, S3Storage
from tests.unit.fakes import make_config

SHARD, PREPARE_ID = "shard-00001-00", "0a1b2c3d4e5f"
IDS = ("r0", "r1", "r2")
ALL_OK = {"ok": 3, "error": 0, "missing": 0}


class Shard:
    """A shard of three records, and its job at a target with a folder of its own.

    The job claims that it has answered all three. The run folder has the answers `found`, which the
    controller copied when it saw that the job had ended.
    """

    def __init__(self, folder: Path, status: str, found: Iterable[str] = ()) -> None:
        self.storage = LocalStorage(str(folder / "run"))
        self.other = LocalStorage(str(folder / "other"))
        place = Place("us-west-2", "m", self.other.uri)
        arn = "arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/job1"
        seen = SeenJob(arn, "n1", "token", status, succeeded=3, failed=0)
        self.job = Job(SHARD, 1, "n1", "token", seen, place=place)
        rows = io.BytesIO()
        pq.write_table(pa.table({ROW_RECORD_ID: list(IDS)}), rows)
        self.storage.write(layout.rows_key(SHARD, PREPARE_ID), rows.getvalue())
        self.write(self.storage, found)

    def write(self, storage: LocalStorage, answered: Iterable[str]) -> None:
        prefix = output_prefix(SHARD, 1, "token")
        lines = (
            f'{{"recordId":"{i}","modelOutput":{{"content":[{{"text":"yes"}}]}}}}\n'
            for i in answered
        )
        storage.write(f"{prefix}job1/{SHARD}.jsonl.out", "".join(lines).encode())

    def collect(self, *, ask_unfound: bool = False) -> ReconciledShard:
        assert self.job.place is not None
        folders = {self.job.place: self.other}
        columns = result_columns_of(ResultsConfig())
        task = CollectTask(
            *(self.storage, "anthropic", columns, PREPARE_ID, ask_unfound),
            folders=folders,  # type: ignore[arg-type]
        )
        unpickled: CollectTask = pickle.loads(pickle.dumps(task))
        return unpickled(ShardWork(SHARD, None, (self.job,))).reconciled


@pytest.mark.parametrize("status", ["Completed", "PartiallyCompleted", "Stopped", "Expired"])
@pytest.mark.parametrize("found", [(), ("r0",)])
@pytest.mark.parametrize("ask_unfound", [False, True])
def test_late_output_of_another_folder_is_collected(
    tmp_path: Path, status: str, found: tuple[str, ...], ask_unfound: bool
) -> None:
    """No record of it may be asked again, with `fallback.ask_unfound` neither: it is paid for."""
    shard = Shard(tmp_path, status, found)
    before = shard.collect(ask_unfound=ask_unfound)
    missing = len(IDS) - len(found)
    assert (before.unfound, before.unanswered) == ((0, missing) if ask_unfound else (missing, 0))
    shard.write(shard.other, IDS)
    after = shard.collect(ask_unfound=ask_unfound)
    assert after.outcomes == ALL_OK
    assert (after.unfound, after.unanswered, after.findings) == (0, 0, ())
    shard.other.delete([o.key for o in shard.other.list("")])
    assert shard.collect(ask_unfound=ask_unfound) == after


def test_output_that_is_there_is_read_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a shard that lacks no answer costs no listing of another folder."""
    shard = Shard(tmp_path, "Completed")
    shard.write(shard.other, IDS)
    assert shard.collect().outcomes == ALL_OK

    real = LocalStorage.list

    def list_below(self: LocalStorage, prefix: str) -> object:
        assert self.uri != shard.other.uri
        return real(self, prefix)

    monkeypatch.setattr(LocalStorage, "list", list_below)
    assert shard.collect().outcomes == ALL_OK


def test_a_folder_that_cannot_be_read_does_not_stop_collect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers stay unfound, and a line in the log says why."""
    shard = Shard(tmp_path, "Completed", ("r0",))
    shard.write(shard.other, IDS)
    real = LocalStorage.list

    def list_below(self: LocalStorage, prefix: str) -> object:
        if self.uri == shard.other.uri:
            raise StorageError("AccessDenied")
        return real(self, prefix)

    monkeypatch.setattr(LocalStorage, "list", list_below)
    with caplog.at_level(logging.WARNING):
        assert shard.collect().unfound == 2
    assert "n1: late output was not looked for: AccessDenied" in caplog.text


def test_a_folder_is_opened_in_the_region_of_its_jobs(tmp_path: Path) -> None:
    """One for each place, and none for jobs that wrote into the run folder."""
    config = make_config(str(tmp_path))
    run = Run("r", config, LocalStorage(str(tmp_path)), AwsSettings("us-east-1", "http://local"))
    job = Shard(tmp_path, "Completed").job
    places = [
        Place("us-west-2", "m", "s3://b/x"),
        Place("eu-west-1", "m", "s3://c/x"),
        Place("us-east-1", "m", None),
        None,
    ]
    jobs = [replace(job, place=place) for place in places * 2]
    folders = folders_of(run, jobs)
    opened = {place.region: folder for place, folder in folders.items()}
    assert {r: f.uri for r, f in opened.items()} == {
        "us-west-2": "s3://b/x",
        "eu-west-1": "s3://c/x",
    }
    for region, folder in opened.items():
        assert isinstance(folder, S3Storage)
        assert folder.aws == AwsSettings(region, "http://local")
