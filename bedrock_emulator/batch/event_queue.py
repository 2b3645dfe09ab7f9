"""Send job state changes as EventBridge does: to the targets of its rules, and to an SQS queue.

An event has the shape that the user guide describes, with `creationTime` in words. EventBridge
delivers such events on a best-effort basis: take an event as a hint, and read the job's status.

moto keeps the rules that clients put, and delivers to SQS queues, log groups and other buses.
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


def send_to_rules(job: Job) -> None:
    """Send the event for a job's new status to the rules of the default bus in its Region."""
    import moto.events.models

    event = state_change(job)
    backend: Any = moto.events.models.events_backends[ACCOUNT_ID][job.region]
    backend.put_events(
        [
            {
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Resources": event["resources"],
                "Detail": json.dumps(event["detail"]),
                "Time": job.modified_time,
            }
        ]
    )


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
