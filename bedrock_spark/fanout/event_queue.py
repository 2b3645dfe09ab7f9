"""Wait for EventBridge events in an SQS queue, so that a settled job ends the wait early.

Events are delivered on a best-effort basis: if one is lost, the wait lasts its full time. If the
queue fails, the jobs are polled without it. An event only ends the wait; the state of the jobs is
always read from the listing.
https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring-eventbridge.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from bedrock_spark.aws.batch_jobs import SETTLED
from bedrock_spark.aws.errors import AWS_FAILURES
from bedrock_spark.aws.protocols import QueueClient
from bedrock_spark.clock import Clock

log = logging.getLogger(__name__)

# The longest wait of one ReceiveMessage call, in seconds.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-long-polling.html
_LONGEST_POLL = 20


class EventWaiter:
    """Waits until a job of the run has settled, or until a time has passed.

    Messages about the run's jobs are deleted. Other messages stay in the queue for their readers.
    """

    def __init__(self, client: QueueClient, queue_url: str, run_id: str, clock: Clock) -> None:
        self._client = client
        self._queue_url = queue_url
        self._prefix = f"{run_id}-"
        self._clock = clock
        self._failed = False

    def __call__(self, seconds: float) -> bool:
        """Wait for at most `seconds`; return True at once if a job settles meanwhile."""
        left = seconds
        while left >= 1 and not self._failed:
            wait = min(_LONGEST_POLL, int(left))
            began = self._clock.now()
            messages = self._receive(wait)
            if self._delete_own(messages):
                return True
            # If the queue answers early, with no message that counts, sleep for the rest of the
            # poll: otherwise messages of other runs would make this a busy loop.
            passed = min(max(self._clock.now() - began, 0.0), wait)
            if not self._failed:
                self._clock.sleep(wait - passed)
                left -= wait
        self._clock.sleep(left)
        return False

    def _receive(self, wait: int) -> list[dict[str, Any]]:
        def call() -> dict[str, Any]:
            reply: dict[str, Any] = self._client.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait
            )
            return reply

        return list((self._call_or_give_up(call) or {}).get("Messages", ()))

    def _delete_own(self, messages: list[dict[str, Any]]) -> bool:
        """Delete the messages about the run's jobs; return whether one is of a settled job."""
        details = [(m, _detail(m.get("Body", ""))) for m in messages]
        own = [
            (message, detail)
            for message, detail in details
            if str(detail.get("batchJobName", "")).startswith(self._prefix)
        ]
        for message, _ in own:
            self._delete(message["ReceiptHandle"])
        return any(detail.get("status") in SETTLED for _, detail in own)

    def _delete(self, receipt: str) -> None:
        def call() -> dict[str, Any]:
            self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=receipt)
            return {}

        self._call_or_give_up(call)

    def _call_or_give_up(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return the reply of a call. If it fails, log that once and do not use the queue again."""
        try:
            return call()
        except AWS_FAILURES as exc:
            log.warning("events.queue_url: %s; jobs are polled without events", exc)
            self._failed = True
            return None


def _detail(body: str) -> dict[str, Any]:
    """Return the detail of an event; {} if the message is not an event."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return {}
    return detail if isinstance(detail, dict) else {}
