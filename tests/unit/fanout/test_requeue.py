"""Records with an answer that is not ok are asked again by batch, once per answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.fanout import requeue_answered
from bedrock_spark.fanout.attempts import announced_job, plan_of
from bedrock_spark.fanout.tracker import DEADLINE
from bedrock_spark.outputs.ask_again import rules_digest
from bedrock_spark.outputs.reconciled_shard import CollectedJob, ReconciledShard
from bedrock_spark.outputs.shard_outputs import jobs_digest, outputs_digest, shard_inputs
from bedrock_spark.publication import why_not_final
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.snapshots import read_newest_snapshot, write_snapshot
from bedrock_spark.run_folder.published import Publication, Publications
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import make_config

PARSE = {"parse": {"columns": "label string", "retries": 1}}
INVALID = [f"R{i}" for i in range(0, 40, 2)]


class ParsingRun(FakeRun):
    """A run of one shard of 40 records, whose answers are parsed; its first job is completed."""

    def __init__(self, folder: Path, **results: Any) -> None:
        super().__init__(folder, [40])
        self.run = replace(self.run, config=make_config(results=results or PARSE))
        self.restart()
        self.put_shard()
        self.complete()

    def complete(self) -> None:
        """Submit what is due, and let it complete."""
        self.advance()
        self.service.move_all("Completed")
        assert self.advance().is_done
        self.controller.flush()

    @property
    def shard_id(self) -> str:
        return self.manifest.shards[0].shard_id

    def collect(self, invalid: Sequence[str] = INVALID, **more: Any) -> None:
        """Write the reconciliation, as collect does. `more` replaces members of it."""
        jobs = tuple(
            CollectedJob(job.job_id, attempt, {})
            for attempt, job in enumerate(self.service.jobs.values(), start=1)
        )
        shard_jobs = self.controller.tracker.jobs_of(self.shard_id)
        members = {
            "unit": self.shard_id,
            "again_ids": tuple(invalid),
            "again_records": len(invalid),
            "jobs": jobs,
            "outputs": outputs_digest(shard_inputs(self.run.storage, self.shard_id)),
            "jobs_known": jobs_digest(shard_jobs),
            "rules": rules_digest(self.run.config),
            **more,
        }
        reconciled = ReconciledShard(**members)
        self.run.storage.write(layout.reconciliation_key(self.shard_id), reconciled.to_json())


@pytest.fixture
def parsing(tmp_path: Path) -> ParsingRun:
    return ParsingRun(tmp_path / "run")


def ids_in(fake: FakeRun, key: str) -> list[str]:
    lines = fake.run.storage.read(key).splitlines()
    return [json.loads(line)["recordId"] for line in lines]


def test_invalid_records_get_an_extra_attempt(parsing: ParsingRun) -> None:
    """Attempt 2 reads only these records; then the shard is done again."""
    parsing.collect()
    assert requeue_answered(parsing.controller) == 1
    assert not parsing.controller.result().is_done
    parsing.complete()
    first, second = parsing.service.requests
    uri = second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert uri.endswith(f"/remainders/{parsing.shard_id}/a2.jsonl")
    assert ids_in(parsing, layout.remainder_key(parsing.shard_id, 2)) == INVALID
    assert second["jobName"] != first["jobName"]
    assert parsing.controller.tracker.jobs[second["jobName"]].records == len(INVALID)


@pytest.mark.parametrize(
    ("note", "requeued"),
    [
        (Publication("append", "done", "f"), 0),
        (Publication("append", "writing", "f"), 0),
        (Publication("append", "done", "f", is_partial=True), 1),
        (Publication("overwrite", "done", "f"), 1),
    ],
)
def test_records_of_rows_that_were_appended_are_not_paid_for_again(
    tmp_path: Path, note: Publication, requeued: int
) -> None:
    """A scheduler calls `advance` also after the run: more answers could not be appended."""
    fake = ParsingRun(tmp_path, mode="append", path=str(tmp_path / "out"), **PARSE)
    fake.collect()
    Publications(fake.run.storage).note("out", note)
    assert requeue_answered(fake.controller) == requeued


CUT = {"on_truncated": "retry", "max_tokens_ceiling": 300}


def test_records_that_were_cut_off_get_their_own_limits(tmp_path: Path) -> None:
    """Nothing else in their bodies changes; the ledger has the digest of these bytes."""
    fake = ParsingRun(tmp_path)
    request = {"prompt": "{{ body }}", "max_tokens": 100, **CUT}
    fake.run = replace(fake.run, config=make_config(request=request))
    fake.restart()
    shard = fake.manifest.shards[0]
    bodies = {f"R{i}": {"max_tokens": 100, "messages": [i], "a": 1.50} for i in range(40)}
    lines = [json.dumps({"recordId": i, "modelInput": body}) for i, body in bodies.items()]
    fake.run.storage.write(shard.key, "\n".join(lines).encode())
    again = [f"R{i}" for i in range(20)]
    limits = {record_id: 200 if n % 2 else 300 for n, record_id in enumerate(again[:15])}
    fake.collect(again, limits=limits)
    assert requeue_answered(fake.controller) == 1
    data = fake.run.storage.read(layout.remainder_key(shard.shard_id, 2))
    asked = {line["recordId"]: line["modelInput"] for line in map(json.loads, data.splitlines())}
    assert list(asked) == again
    assert asked == {i: {**bodies[i], "max_tokens": limits.get(i, 100)} for i in again}
    extra = fake.controller.tracker.extra_attempt(shard.shard_id)
    assert extra is not None
    assert (extra.records, extra.sha256) == (20, hashlib.sha256(data).hexdigest())
    # The budget counts what the higher limits may cost, also in the process after a kill.
    assert extra.longer == sum(limits.values())
    fake.advance()
    fake.restart()
    (job,) = (j for j in fake.controller.jobs.values() if j.attempt == 2)
    assert job.longer == extra.longer
    plan = plan_of(job, shard)
    assert announced_job(plan, 0.0).longer == plan.longer == extra.longer


REQUEST = {"prompt": "{{ body }}", "max_tokens": 100, "on_refused": "retry"}


@pytest.mark.parametrize(
    "edited",
    [
        {"request": {**REQUEST, "on_truncated": "keep"}},
        {"request": {**REQUEST, **CUT, "max_tokens_ceiling": 150}},
        {"results": {"parse": {"columns": "other string", "retries": 1}}},
    ],
)
def test_records_that_other_rules_chose_are_not_asked(tmp_path: Path, edited: Any) -> None:
    """The config was edited since: collect says by the new one which records are asked."""
    fake = ParsingRun(tmp_path)
    values = {"request": {**REQUEST, **CUT}, "results": PARSE}
    fake.run = replace(fake.run, config=make_config(**values))
    fake.restart()
    fake.collect()
    fake.run = replace(fake.run, config=make_config(**{**values, **edited}))
    fake.restart()
    assert requeue_answered(fake.controller) == 0
    fake.collect()
    assert requeue_answered(fake.controller) == 1


def test_requeued_records_are_not_requeued_before_they_are_collected(parsing: ParsingRun) -> None:
    """The reconciliation does not cover the second job: its answers may fit."""
    parsing.collect()
    requeue_answered(parsing.controller)
    assert requeue_answered(parsing.controller) == 0
    parsing.complete()
    parsing.restart()
    assert requeue_answered(parsing.controller) == 0
    parsing.collect(INVALID[:15])
    assert requeue_answered(parsing.controller) == 1


@pytest.mark.parametrize(
    ("results", "invalid", "more"),
    [
        (PARSE, INVALID[:9], {}),
        (PARSE, INVALID, {"jobs_known": jobs_digest(())}),
        (PARSE, INVALID, {"outputs": "of before"}),
        (PARSE, INVALID, {"fallback_files": ("fallback/x",)}),
        ({"parse": "label string"}, INVALID, {}),
        ({"model_output": "keep"}, INVALID, {}),
        (PARSE, INVALID, {"unit": "rejects-00000"}),
    ],
    ids=[
        "too few",
        "last job not covered",
        "other output",
        "file missing",
        "no retries",
        "no parse",
        "no shard",
    ],
)
def test_records_that_are_not_requeued(
    tmp_path: Path, results: dict[str, Any], invalid: list[str], more: dict[str, Any]
) -> None:
    """Too few for a job, a reconciliation that is not up to date, no retries, or no shard."""
    fake = ParsingRun(tmp_path, **results)
    fake.collect(invalid, **more)
    assert requeue_answered(fake.controller) == 0
    assert fake.controller.result().is_done


def test_another_machine_submits_the_extra_attempt(parsing: ParsingRun) -> None:
    """It is in the ledger, and in a snapshot of the ledger; the job has the same name."""
    parsing.collect()
    requeue_answered(parsing.controller)
    storage = parsing.run.storage
    ledger = Ledger(storage)
    state = ledger.load()
    write_snapshot(storage, 999, state)
    snapshot = read_newest_snapshot(storage)[1]
    assert snapshot.extra_attempts == state.extra_attempts != {}
    storage.delete([layout.snapshot_key(999)])
    parsing.restart()
    assert not parsing.controller.result().is_done
    parsing.advance()
    parsing.restart()
    parsing.advance()
    assert len(parsing.create_calls()) == 2


def test_the_deadline_cancels_the_extra_attempt(parsing: ParsingRun) -> None:
    """The shard is finished for good."""
    parsing.collect()
    requeue_answered(parsing.controller)
    parsing.controller.tracker.finish(parsing.shard_id, DEADLINE)
    assert parsing.controller.result().is_done


def test_after_the_deadline_nothing_is_requeued_and_nothing_waits(tmp_path: Path) -> None:
    """Not even without a fallback: the results are final as they are."""
    fake = ParsingRun(tmp_path)
    config = make_config(results=PARSE, batch={"deadline_hours": 10})
    fake.run = replace(fake.run, config=config, begun_at=fake.clock.now())
    fake.restart()
    fake.collect()
    shards = [ReconciledShard(unit=fake.shard_id, unanswered=20, again_records=20)]

    def wait() -> str | None:
        state = Ledger(fake.run.storage).load()
        return why_not_final(
            fake.run, fake.manifest, shards, state, fake.clock.now(), is_over=False
        )

    assert "will be asked again by batch jobs" in str(wait())
    fake.clock.sleep(9.6 * 3600)
    assert (requeue_answered(fake.controller), wait()) == (0, None)


def test_an_expired_extra_attempt_is_not_repeated(parsing: ParsingRun) -> None:
    """The first job has an answer to every record, so nothing is left for a third attempt.

    The fallback asks the invalid records.
    """
    parsing.put_answers(answered=range(40))
    parsing.collect()
    requeue_answered(parsing.controller)
    parsing.advance()
    parsing.service.move_all("Expired")
    parsing.advance()
    assert parsing.controller.result().is_done
    assert len(parsing.create_calls()) == 2
    parsing.controller.flush()
    parsing.restart()
    assert parsing.controller.result().is_done
