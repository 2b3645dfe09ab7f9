"""Events end the wait for the next poll early; without events, the wait has its full length."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from bedrock_spark.fanout.event_queue import EventWaiter
from tests.unit.fakes import FakeClock

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"


class FakeQueue:
    """A queue that delivers these batches of messages in turn, then nothing.

    asked: the WaitTimeSeconds of each request
    """

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


def test_a_settled_job_of_the_run_ends_the_wait(clock: FakeClock) -> None:
    """The messages about the run's jobs are deleted."""
    queue = FakeQueue(clock, [event("r1", "run-a1", "InProgress"), event("r2", "run-a1", "Failed")])
    assert EventWaiter(queue, URL, "run", clock)(100.0) is True
    assert queue.deleted == ["r1", "r2"]
    assert clock.waits == []


def test_other_messages_do_not_end_the_wait(clock: FakeClock) -> None:
    """A job that still runs, another run's job, no event: only the first message is deleted."""
    no_events = [{"ReceiptHandle": "x", "Body": body} for body in ("", "[]", "{}", '{"detail": 1}')]
    queue = FakeQueue(
        clock, [event("r1", "run-a", "InProgress")], [event("r2", "runner-a", "Failed")], no_events
    )
    began = clock.time
    assert EventWaiter(queue, URL, "run", clock)(100.0) is False
    assert queue.deleted == ["r1"]
    assert clock.time - began == 100.0


def test_without_events_the_wait_has_its_full_length(clock: FakeClock) -> None:
    """Long polls of at most 20 seconds, the most that SQS allows; the last half second is slept."""
    queue = FakeQueue(clock)
    began = clock.time
    assert EventWaiter(queue, URL, "run", clock)(50.5) is False
    assert queue.asked == [20, 20, 10]
    assert clock.time - began == 50.5


def test_a_queue_that_fails_is_not_asked_again(clock: FakeClock) -> None:
    """The waiter only sleeps from then on."""
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "ReceiveMessage")
    for failure in (denied, EndpointConnectionError(endpoint_url=URL)):
        queue = FakeQueue(clock, failure)
        wait = EventWaiter(queue, URL, "run", clock)
        began = clock.time
        assert wait(50.0) is False
        assert wait(50.0) is False
        assert len(queue.asked) == 1
        assert clock.time - began == 100.0
