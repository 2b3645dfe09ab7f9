"""Events wake the loop; without them, it polls."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from bedrock_spark.fanout.event_queue import EventWaiter
from tests.unit.fakes import FakeClock

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"


class FakeQueue:
    """A queue that delivers these batches of messages in turn, then nothing."""

    def __init__(self, clock: FakeClock, *batches: Any) -> None:
        self.clock, self.batches = clock, list(batches)
        self.asked: list[int] = []
        self.deleted: list[str] = []

    def receive_message(self, **request: Any) -> dict[str, Any]:
        assert request["QueueUrl"] == URL
        self.asked.append(request["WaitTimeSeconds"])
        batch = self.batches.pop(0) if self.batches else None
        if isinstance(batch, Exception):
            raise batch
        if batch is None:
            self.clock.time += request["WaitTimeSeconds"]
            return {}
        return {"Messages": batch}

    def delete_message(self, **request: Any) -> None:
        self.deleted.append(request["ReceiptHandle"])


def event(receipt: str, name: str, status: str) -> dict[str, Any]:
    detail = {"batchJobName": name, "status": status}
    return {"ReceiptHandle": receipt, "Body": json.dumps({"detail": detail})}


def test_a_settled_job_of_the_run_ends_the_pause(clock: FakeClock) -> None:
    """Its messages are deleted."""
    queue = FakeQueue(clock, [event("r1", "run-a1", "InProgress"), event("r2", "run-a1", "Failed")])
    assert EventWaiter(queue, URL, "run", clock)(100.0) is True
    assert queue.deleted == ["r1", "r2"]
    assert clock.waits == []


def test_other_changes_and_other_runs_do_not(clock: FakeClock) -> None:
    """What is not about this run's jobs is left in the queue for others."""
    odd = [{"ReceiptHandle": "x", "Body": body} for body in ("", "[]", "{}", '{"detail": 1}')]
    queue = FakeQueue(
        clock, [event("r1", "run-a", "InProgress")], [event("r2", "runner-a", "Failed")], odd
    )
    began = clock.time
    assert EventWaiter(queue, URL, "run", clock)(100.0) is False
    assert queue.deleted == ["r1"]
    assert clock.time - began == 100.0


def test_a_pause_is_as_long_as_it_should_be_without_events(clock: FakeClock) -> None:
    """In long polls of at most 20 seconds, as SQS allows; the rest of a second is slept."""
    queue = FakeQueue(clock)
    began = clock.time
    assert EventWaiter(queue, URL, "run", clock)(50.5) is False
    assert queue.asked == [20, 20, 10]
    assert clock.time - began == 50.5


def test_a_queue_that_does_not_answer_is_given_up(clock: FakeClock) -> None:
    """Polling alone is enough; it is said once."""
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "ReceiveMessage")
    for failure in (denied, EndpointConnectionError(endpoint_url=URL)):
        queue = FakeQueue(clock, failure)
        sleep = EventWaiter(queue, URL, "run", clock)
        began = clock.time
        assert sleep(50.0) is False
        assert sleep(50.0) is False
        assert len(queue.asked) == 1
        assert clock.time - began == 100.0
