"""After a job that did not complete, the next attempt asks only the unanswered records."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bedrock_spark.run_folder import layout
from tests.unit.fake_run import FakeRun


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Expired"])
def test_answers_of_an_incomplete_job_are_not_paid_for_again(
    fake_run: Callable[..., FakeRun], status: str
) -> None:
    """The next attempt reads an object with the other records; every controller writes the same."""
    fake = fake_run([50], attempts=3)
    fake.put_shard()
    fake.advance()
    fake.put_answers(answered=range(30))
    fake.service.move_all(status, processed=30)
    assert fake.advance().active == 1
    fake.restart()
    assert fake.advance().active == 1
    second = fake.service.requests[1]
    key = layout.remainder_key(fake.plan().shard_id, 2)
    assert second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].endswith(key)
    asked = [json.loads(line)["recordId"] for line in fake.run.storage.read(key).splitlines()]
    assert asked == [f"R{i}" for i in range(30, 50)]
    assert len(fake.create_calls()) == 2
    fake.service.move_all("Completed", processed=20)
    assert fake.advance().is_done


def test_a_rest_below_the_minimum_is_left_to_the_fallback(fake_run: Callable[..., FakeRun]) -> None:
    """The service would refuse the job. The ledger notes it, so the output is not read again."""
    fake = fake_run([50], attempts=3)
    fake.put_shard()
    fake.advance()
    fake.put_answers(answered=range(41))
    fake.service.move_all("Expired", processed=41)
    assert fake.advance().is_done
    fake.restart()
    assert fake.controller.result().is_done
    assert fake.create_calls() == [fake.job_name()]


def test_a_record_with_a_retryable_error_is_asked_again(fake_run: Callable[..., FakeRun]) -> None:
    """A record with a permanent error is not. A torn line says nothing about its record."""
    fake = fake_run([30], attempts=2)
    fake.put_shard()
    fake.advance()
    lines = [
        {"recordId": "R0", "error": {"errorCode": 500, "errorMessage": "x"}},
        {"recordId": "R1", "error": {"errorCode": 400, "errorMessage": "x"}},
        {"recordId": "R2", "modelOutput": {"text": "a\u2028b\u0085c"}},
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    fake.put_answers(data=data + b'{"recordId": "R3", "modelOut')
    fake.service.move_all("Failed", processed=3)
    fake.advance()
    rest = fake.run.storage.read(layout.remainder_key(fake.plan().shard_id, 2))
    asked = [json.loads(line)["recordId"] for line in rest.splitlines()]
    assert asked == ["R0", *(f"R{i}" for i in range(3, 30))]


def test_without_answers_the_whole_shard_is_asked_again(fake_run: Callable[..., FakeRun]) -> None:
    """An empty output file has no answers, and an output manifest exists without output too."""
    fake = fake_run([50], attempts=2)
    fake.advance()
    prefix = fake.plan().output_prefix
    fake.run.storage.write(f"{prefix}abc/{fake.plan().shard_id}.jsonl.out", b"")
    fake.run.storage.write(f"{prefix}abc/{layout.OUTPUT_MANIFEST_FILE}", b"{}")
    fake.service.move_all("Failed", processed=0)
    assert not fake.advance().is_done
    assert fake.job_names() == {fake.job_name(0, 1), fake.job_name(0, 2)}
