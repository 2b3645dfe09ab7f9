"""What is left of a shard after a job that ended badly: that alone is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bedrock_spark.run_folder import layout
from tests.unit.driving import Drive


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Expired"])
def test_answers_of_a_job_that_ended_badly_are_not_paid_for_again(
    drive: Callable[..., Drive], status: str
) -> None:
    """The next attempt is given what is left, as an object of its own; its bytes never differ."""
    d = drive([50], attempts=3)
    d.put_shard()
    d.advance()
    d.put_answers(answered=range(30))
    d.service.move_all(status, processed=30)
    assert d.advance().active == 1
    d.restart()
    assert d.advance().active == 1
    second = d.service.requests[1]
    key = layout.remainder_key(d.plan().shard_id, 2)
    assert second["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].endswith(key)
    asked = [json.loads(line)["recordId"] for line in d.run.storage.read(key).splitlines()]
    assert asked == [f"R{i}" for i in range(30, 50)]
    assert len(d.created()) == 2
    d.service.move_all("Completed", processed=20)
    assert d.advance().is_done


def test_what_is_left_below_the_minimum_is_the_fallbacks(drive: Callable[..., Drive]) -> None:
    """The service refuses so small a job; and the next driver does not read it all again."""
    d = drive([50], attempts=3)
    d.put_shard()
    d.advance()
    d.put_answers(answered=range(41))
    d.service.move_all("Expired", processed=41)
    assert d.advance().is_done
    d.restart()
    assert d.controller.result().is_done
    assert d.created() == [d.name()]


def test_a_record_that_may_be_asked_again_is_left(drive: Callable[..., Drive]) -> None:
    """And one that will never be answered is not; bad lines say nothing about any record."""
    d = drive([30], attempts=2)
    d.put_shard()
    d.advance()
    lines = [
        {"recordId": "R0", "error": {"errorCode": 500, "errorMessage": "x"}},
        {"recordId": "R1", "error": {"errorCode": 400, "errorMessage": "x"}},
        {"recordId": "R2", "modelOutput": {"text": "a\u2028b\u0085c"}},
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    d.put_answers(data=data + b'{"recordId": "R3", "modelOut')
    d.service.move_all("Failed", processed=3)
    d.advance()
    rest = d.run.storage.read(layout.remainder_key(d.plan().shard_id, 2))
    asked = [json.loads(line)["recordId"] for line in rest.splitlines()]
    assert asked == ["R0", *(f"R{i}" for i in range(3, 30))]


def test_an_empty_output_is_no_answer(drive: Callable[..., Drive]) -> None:
    """Nor is an output manifest, which jobs without output have too: the shard goes as a whole."""
    d = drive([50], attempts=2)
    d.advance()
    prefix = d.plan().output_prefix
    d.run.storage.write(f"{prefix}abc/{d.plan().shard_id}.jsonl.out", b"")
    d.run.storage.write(f"{prefix}abc/{layout.OUTPUT_MANIFEST_FILE}", b"{}")
    d.service.move_all("Failed", processed=0)
    assert not d.advance().is_done
    assert d.names() == {d.name(0, 1), d.name(0, 2)}
