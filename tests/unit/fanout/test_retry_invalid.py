"""Records whose answers do not fit, asked again by batch: which, when, and once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.fanout import requeue_invalid
from bedrock_spark.fanout.tracker import DEADLINE
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.snapshots import read_newest_snapshot, write_snapshot
from tests.unit.driving import Drive
from tests.unit.fakes import make_config

PARSE = {"parse": {"columns": "label string", "retries": 1}}
INVALID = [f"R{i}" for i in range(0, 40, 2)]


class Parsing(Drive):
    """A run of one shard of 40 records whose answers are read as columns, its job completed."""

    def __init__(self, folder: Path, **results: Any) -> None:
        super().__init__(folder, [40])
        self.run = replace(self.run, config=make_config(results=results or PARSE))
        self.restart()
        self.put_shard()
        self.complete()

    def complete(self) -> None:
        """Let what is to be submitted be submitted, and come to its end."""
        self.advance()
        self.service.move_all("Completed")
        assert self.advance().is_done
        self.controller.flush()

    @property
    def shard_id(self) -> str:
        return self.manifest.shards[0].shard_id

    def collect(self, invalid: Sequence[str] = INVALID, **more: Any) -> None:
        """Leave the reconciliation that collect would."""
        arns = [job.job_arn for job in self.service.jobs.values()]
        told = {
            "unit": self.shard_id,
            "invalid_ids": list(invalid),
            "jobs": [{"job_id": arn.rsplit("/", 1)[-1]} for arn in arns],
            "fallback_files": [],
            **more,
        }
        self.run.storage.write(layout.reconciliation_key(self.shard_id), json.dumps(told).encode())


@pytest.fixture
def parsing(tmp_path: Path) -> Parsing:
    return Parsing(tmp_path / "run")


def records_of(d: Drive, key: str) -> list[str]:
    lines = d.run.storage.read(key).splitlines()
    return [json.loads(line)["recordId"] for line in lines]


def test_they_get_a_job_of_their_own(parsing: Parsing) -> None:
    """Attempt 2, which reads just these records; then the shard is done again."""
    parsing.collect()
    assert requeue_invalid(parsing.controller) == 1
    assert not parsing.controller.result().is_done
    parsing.complete()
    first, second = parsing.service.requests
    uri = second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert uri.endswith(f"/remainders/{parsing.shard_id}/a2.jsonl")
    assert records_of(parsing, layout.remainder_key(parsing.shard_id, 2)) == INVALID
    assert second["jobName"] != first["jobName"]
    assert parsing.controller.tracker.jobs[second["jobName"]].records == len(INVALID)


def test_what_was_asked_again_is_not_asked_again_before_it_is_collected(parsing: Parsing) -> None:
    """The reconciliation does not know the second job: its answers may fit."""
    parsing.collect()
    requeue_invalid(parsing.controller)
    assert requeue_invalid(parsing.controller) == 0
    parsing.complete()
    parsing.restart()
    assert requeue_invalid(parsing.controller) == 0
    parsing.collect(INVALID[:15])
    assert requeue_invalid(parsing.controller) == 1


@pytest.mark.parametrize(
    ("results", "invalid", "more"),
    [
        (PARSE, INVALID[:9], {}),
        (PARSE, INVALID, {"jobs": []}),
        (PARSE, INVALID, {"fallback_files": ["fallback/x"]}),
        ({"parse": "label string"}, INVALID, {}),
        ({"model_output": "keep"}, INVALID, {}),
        (PARSE, INVALID, {"unit": "rejects-00000"}),
    ],
)
def test_who_is_not_asked_again(
    tmp_path: Path, results: dict[str, Any], invalid: list[str], more: dict[str, Any]
) -> None:
    """Too few for a job; collected before the last answers came; no retries; no shard."""
    d = Parsing(tmp_path, **results)
    d.collect(invalid, **more)
    assert requeue_invalid(d.controller) == 0
    assert d.controller.result().is_done


def test_another_machine_carries_it_on(parsing: Parsing) -> None:
    """From the ledger, and from a snapshot of it; under the same name."""
    parsing.collect()
    requeue_invalid(parsing.controller)
    storage = parsing.run.storage
    ledger = Ledger(storage)
    state = ledger.load()
    write_snapshot(storage, 999, state)
    assert read_newest_snapshot(storage, 999)[1].again == state.again != {}
    storage.delete([layout.snapshot_key(999)])
    parsing.restart()
    assert not parsing.controller.result().is_done
    parsing.advance()
    parsing.restart()
    parsing.advance()
    assert len(parsing.created()) == 2


def test_a_deadline_ends_it(parsing: Parsing) -> None:
    """The shard is done for good, also for who comes later."""
    parsing.collect()
    requeue_invalid(parsing.controller)
    parsing.controller.tracker.finish(parsing.shard_id, DEADLINE)
    assert parsing.controller.result().is_done


def test_a_job_that_expires_leaves_them_to_the_fallback(parsing: Parsing) -> None:
    """Each of them has an answer of its first job: nothing is missing that a third could give."""
    parsing.put_answers(answered=range(40))
    parsing.collect()
    requeue_invalid(parsing.controller)
    parsing.advance()
    parsing.service.move_all("Expired")
    parsing.advance()
    assert parsing.controller.result().is_done
    assert len(parsing.created()) == 2
    parsing.controller.flush()
    parsing.restart()
    assert parsing.controller.result().is_done
