"""Put job state changes into an SQS queue of this emulator, as EventBridge would deliver them.

An event has the shape that the user guide describes, with `creationTime` in words. EventBridge
delivers such events on a best-effort basis: take an event as a hint, and read the job's status.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.jobs import Job


class EventQueue:
    """An SQS queue of moto in this process. A Region's queue is created with its first event."""

    def __init__(self, name: str) -> None:
        self._name = name

    def send(self, job: Job) -> None:
        """Put the event for a job's new status into the queue."""
        import moto.sqs.models

        backend: Any = moto.sqs.models.sqs_backends[ACCOUNT_ID][job.region]
        if self._name not in backend.queues:
            backend.create_queue(self._name)
        backend.send_message(self._name, json.dumps(state_change(job)))


def state_change(job: Job) -> dict[str, Any]:
    """Return the EventBridge event of a job that has just changed its status."""
    changed_at = datetime.fromtimestamp(job.modified_time, tz=UTC)
    created_at = datetime.fromtimestamp(job.submit_time, tz=UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job.arn}#{len(job.history)}")),
        "detail-type": "Batch Inference Job State Change",
        "source": "aws.bedrock",
        "account": ACCOUNT_ID,
        "time": changed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": job.region,
        "resources": [job.arn],
        "detail": {
            "version": "0.0",
            "accountId": ACCOUNT_ID,
            "batchJobName": job.name,
            "batchJobArn": job.arn,
            "batchModelId": str(job.request["modelId"]),
            "status": job.status,
            "failureMessage": job.message,
            "creationTime": f"{created_at:%b} {created_at.day}, {created_at:%Y, %I:%M:%S %p}",
        },
    }
