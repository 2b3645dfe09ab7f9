"""What the batch jobs have left to do, by the ledger alone."""

from __future__ import annotations

from pathlib import Path

from bedrock_spark.fanout import count_unsettled
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun


def unsettled(fake: FakeRun) -> int:
    return count_unsettled(fake.run.config, fake.manifest, Ledger(fake.run.storage).load())


def test_shards_are_unsettled_until_they_need_no_more_jobs(tmp_path: Path) -> None:
    """Before the first job, while jobs are active, and while a second attempt is due."""
    run = FakeRun(tmp_path, [20, 20, 5], slots=1)  # the last is too small for a batch job
    for shard in range(2):
        run.put_shard(shard)
    looks = [unsettled(run)]
    run.advance()
    looks.append(unsettled(run))
    for status, answers in (("Completed", 20), ("Expired", 0), ("Completed", 20)):
        run.service.move_all(status, total=20, processed=answers, succeeded=answers)
        run.advance()
        run.controller.flush()
        looks.append(unsettled(run))
    assert looks == [2, 2, 1, 1, 0]
    calls = len(run.service.calls)
    unsettled(run)
    assert len(run.service.calls) == calls
