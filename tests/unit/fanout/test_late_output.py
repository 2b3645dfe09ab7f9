"""A job claims answers whose output is not there: it is waited for, and nothing is paid again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest

from bedrock_spark.fanout.scheduler import NOT_FOUND, OUTPUT_SECONDS
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun

NewRun = Callable[..., FakeRun]


def stopped_run(fake_run: NewRun, succeeded: int = 45, shards: int = 1) -> FakeRun:
    """Return a run whose first job was stopped by somebody with these answers, without output."""
    fake = fake_run([50] * shards, attempts=3, max_active_jobs=1)
    for shard in range(shards):
        fake.put_shard(shard)
    fake.advance()
    fake.service.move(fake.job_name(), "Stopped", processed=succeeded, succeeded=succeeded)
    return fake


def put_output(fake: FakeRun, answered: Iterable[int]) -> None:
    """Write the output of the first job: answers to these records."""
    job_id = fake.service.jobs[fake.job_name()].job_id
    key = f"{fake.plan().output_prefix}{job_id}/{fake.plan().shard_id}.jsonl.out"
    lines = (f'{{"recordId":"R{i}","modelOutput":{{"a":1}}}}\n' for i in answered)
    fake.run.storage.write(key, "".join(lines).encode())


def asked_by(fake: FakeRun, attempt: int) -> list[str]:
    data = fake.run.storage.read(layout.remainder_key(fake.plan().shard_id, attempt))
    return [json.loads(line)["recordId"] for line in data.splitlines()]


def findings(fake: FakeRun) -> list[tuple[str, str]]:
    fake.controller.flush()
    state = Ledger(fake.run.storage).load()
    return [(f["kind"], f["detail"]) for f in state.findings]


@pytest.mark.parametrize("restarts", [False, True])
def test_output_that_comes_late_is_waited_for(fake_run: NewRun, restarts: bool) -> None:
    """Then only the records without an answer are submitted again; also by `advance` from cron."""
    fake = stopped_run(fake_run, succeeded=35)
    for _ in range(5):
        assert fake.advance().waiting == 1
        fake.clock.sleep(100)
        if restarts:
            fake.restart()
    assert fake.create_calls() == [fake.job_name()]
    put_output(fake, range(35))
    assert fake.advance().active == 1
    assert asked_by(fake, 2) == [f"R{i}" for i in range(35, 50)]
    assert findings(fake) == []


@pytest.mark.parametrize("found", [0, 30])
@pytest.mark.parametrize("restarts", [False, True])
def test_output_that_never_comes_ends_the_shard(
    fake_run: NewRun, found: int, restarts: bool
) -> None:
    """Its records are paid for. The reason and a finding with both counts are in the ledger."""
    fake = stopped_run(fake_run)
    put_output(fake, range(found))
    began = fake.clock.now()
    while not fake.advance().is_done:
        fake.clock.sleep(60)
        if restarts:
            fake.restart()
    assert fake.clock.now() - began == OUTPUT_SECONDS
    assert fake.create_calls() == [fake.job_name()]
    ((kind, detail),) = findings(fake)
    assert kind == "unfound"
    arn = fake.service.jobs[fake.job_name()].job_arn
    assert detail == f"{arn}: 45 answers are claimed, {found} were found"
    assert Ledger(fake.run.storage).load().finished == {fake.plan().shard_id: NOT_FOUND}
    fake.restart()
    assert fake.advance().is_done


def test_a_shard_that_waits_for_output_blocks_no_other(fake_run: NewRun) -> None:
    """There is one slot: the other shards get it, one after the other."""
    fake = stopped_run(fake_run, shards=3)
    for shard in (1, 2):
        assert fake.advance().active == 1
        fake.service.move(fake.job_name(shard), "Completed", processed=50)
        fake.clock.sleep(60)
    result = fake.advance()
    assert (result.settled, result.waiting, result.active) == (2, 1, 0)


def test_output_is_not_read_in_every_step(
    fake_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a minute is enough."""
    fake = stopped_run(fake_run)
    prefix = layout.outputs_prefix(fake.plan().shard_id)
    real, looks = fake.run.storage.list, []

    def count(key: str) -> object:
        looks.extend([key] if key == prefix else [])
        return real(key)

    monkeypatch.setattr(fake.run.storage, "list", count)
    for _ in range(60):
        fake.advance()
        fake.clock.sleep(5)
    assert 5 <= len(looks) <= 6


def test_the_manifest_is_a_claim_too(fake_run: NewRun) -> None:
    """The listing may have no counts; and lines of other ids are no answers of the shard."""
    fake = stopped_run(fake_run, succeeded=0)
    put_output(fake, range(1000, 1045))
    job_id = fake.service.jobs[fake.job_name()].job_id
    key = f"{fake.plan().output_prefix}{job_id}/{layout.OUTPUT_MANIFEST_FILE}"
    fake.run.storage.write(key, b'{"successRecordCount":45}')
    assert fake.advance().waiting == 1
    fake.clock.sleep(OUTPUT_SECONDS)
    assert fake.advance().is_done
    assert fake.create_calls() == [fake.job_name()]


def test_all_earlier_jobs_count(fake_run: NewRun) -> None:
    """The first job's output was there when its remainder was submitted, and is deleted later."""
    fake = stopped_run(fake_run, succeeded=30)
    put_output(fake, range(30))
    fake.advance()
    second = next(name for name in fake.service.jobs if name != fake.job_name())
    fake.service.move(second, "Expired", processed=0)
    fake.run.storage.delete([o.key for o in fake.run.storage.list("output/")])
    assert fake.advance().waiting == 1
    fake.clock.sleep(OUTPUT_SECONDS)
    assert fake.advance().is_done
    assert len(fake.create_calls()) == 2


def test_a_job_that_claims_nothing_is_not_waited_for(fake_run: NewRun) -> None:
    """Nothing was paid: the whole shard is submitted again at once."""
    fake = stopped_run(fake_run, succeeded=0)
    assert fake.advance().active == 1
    assert len(fake.create_calls()) == 2


def test_the_deadline_does_not_forget_a_shard_that_waits(fake_run: NewRun) -> None:
    """It stands in the queue between two steps."""
    fake = stopped_run(fake_run)
    for _ in range(3):
        fake.advance()
        assert fake.controller.tracker.waiting_shards() == [fake.plan().shard_id]
