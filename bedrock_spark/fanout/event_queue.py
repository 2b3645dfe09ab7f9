"""Wake the loop when a job has settled, by EventBridge's events in an SQS queue.

Events are best effort: one that is lost costs the rest of a pause, and without the queue the loop
polls as ever. They say that something happened; what happened is in the listing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from bedrock_spark.aws.batch_jobs import SETTLED
from bedrock_spark.aws.errors import AWS_FAILURES
from bedrock_spark.clock import Clock

log = logging.getLogger(__name__)

_LONGEST_POLL = 20


class EventWaiter:
    """Sleeps until a job of the run has settled, or so long as it is told.

    Messages about the run's jobs are deleted; those of others are left to others.
    """

    def __init__(self, client: Any, queue_url: str, run_id: str, clock: Clock) -> None:
        self._client = client
        self._queue_url = queue_url
        self._prefix = f"{run_id}-"
        self._clock = clock
        self._failed = False

    def __call__(self, seconds: float) -> bool:
        """Wait; return whether a job has settled meanwhile."""
        left = seconds
        while left >= 1 and not self._failed:
            wait = min(_LONGEST_POLL, int(left))
            began = self._clock.now()
            messages = self._receive(wait)
            if self._take(messages):
                return True
            # A queue may answer at once, with nothing or with messages of others.
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

        return list((self._try(call) or {}).get("Messages", ()))

    def _take(self, messages: list[dict[str, Any]]) -> bool:
        """Delete the messages about the run's jobs; return whether one says that a job settled."""
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

        self._try(call)

    def _try(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return call()
        except AWS_FAILURES as exc:
            log.warning("events.queue_url: %s; the jobs are polled", exc)
            self._failed = True
            return None


def _detail(body: str) -> dict[str, Any]:
    """Return the detail of an event; empty for a message that is something else."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return {}
    return detail if isinstance(detail, dict) else {}
