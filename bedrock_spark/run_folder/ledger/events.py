"""The events of a ledger, as they are written. What they come to is in state.py.

{"event": "submitting", "shard_id": …, "attempt": 1, "job_name": …, "token": …, "at": …}
    and where they are not the shard's own: "input", "records", "target"
{"event": "submitted", "job_name": …, "job_arn": …, "at": …}
{"event": "seen", "job_name": …, "job_arn": …, "status": …, "counts": […], "tokens": […], …}
{"event": "stopping", "job_name": …, "why": "user" or "deadline", "at": …}
{"event": "again", "shard_id": …, "attempt": 2, "input": …, "records": …, "sha256": …, "at": …}
{"event": "finished", "shard_id": …, "why": …, "at": …}
{"event": "held", "kind": "stopped" or "refused", "reason": …, "at": …}
{"event": "resumed", "at": …}
{"event": "swept", "floors": {…}, "slots": {…}, "at": …}
{"event": "late", "job_names": […], "at": …}
{"event": "set_aside", "object": 17, "why": …, "at": …}
{"event": "finding", "kind": …, "shard_id": …, "detail": …, "at": …}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import JobPlan

Event = Mapping[str, Any]


@dataclass(frozen=True)
class ExtraAttempt:
    """A job that a shard shall have though its jobs are over: its attempt, and what it reads."""

    attempt: int
    input_key: str
    records: int
    sha256: str


def submitting(plan: JobPlan, now: float) -> Event:
    """Say that a job is about to be created: written before the call."""
    event: dict[str, Any] = {
        "event": "submitting",
        "shard_id": plan.shard_id,
        "attempt": plan.attempt,
        "job_name": plan.job_name,
        "token": plan.token,
        "at": now,
    }
    if plan.input_key != layout.shard_key(plan.shard_id):
        event["input"] = plan.input_key
    if plan.records is not None:
        event["records"] = plan.records
    if plan.target:
        event["target"] = plan.target
    return event


def submitted(job_name: str, job_arn: str, now: float) -> Event:
    """Say that the service took a job."""
    return {"event": "submitted", "job_name": job_name, "job_arn": job_arn, "at": now}


def seen(job: SeenJob, now: float, tokens: tuple[int, int] | None = None) -> Event:
    """Say what a listing shows of a job; tokens are those of its output manifest, in and out."""
    event: dict[str, Any] = {
        "event": "seen",
        "job_name": job.job_name,
        "job_arn": job.job_arn,
        "status": job.status,
        "message": job.message,
        "counts": [job.total, job.processed, job.succeeded, job.failed],
        "at": now,
    }
    if job.submitted_at is not None:
        event["times"] = [job.submitted_at, job.ended_at]
    if tokens is not None:
        event["tokens"] = list(tokens)
    return event


def stopping(job_name: str, why: str, now: float) -> Event:
    """Say that a job is about to be stopped: written before the call."""
    return {"event": "stopping", "job_name": job_name, "why": why, "at": now}


def again(shard_id: str, repeat: ExtraAttempt, now: float) -> Event:
    """Say that a shard whose jobs are over shall have another, for some of its records."""
    return {
        "event": "again",
        "shard_id": shard_id,
        "attempt": repeat.attempt,
        "input": repeat.input_key,
        "records": repeat.records,
        "sha256": repeat.sha256,
        "at": now,
    }


def finished(shard_id: str, why: str, now: float) -> Event:
    """Say that a shard needs no more jobs, though its last one did not complete."""
    return {"event": "finished", "shard_id": shard_id, "why": why, "at": now}


def held(kind: str, reason: str, now: float) -> Event:
    """Say that nothing more is submitted until somebody resumes the run."""
    return {"event": "held", "kind": kind, "reason": reason, "at": now}


def resumed(now: float) -> Event:
    """Say that what was held goes on."""
    return {"event": "resumed", "at": now}


def swept(
    floors: Mapping[str, float | None],
    slots: Mapping[str, Mapping[str, Any]],
    looked_at: float | None,
) -> Event:
    """Say since when jobs need to be looked for, and what is known of the slots, by target.

    floors: by Region, times of the service's clock; every job submitted before them is settled
    looked_at: when the jobs of others were counted
    """
    return {"event": "swept", "floors": dict(floors), "slots": dict(slots), "at": looked_at}


def late(job_names: list[str] | None, now: float) -> Event:
    """Say which jobs will not make the deadline, when it is time to give up; null: it is not."""
    return {"event": "late", "job_names": job_names, "at": now}


def set_aside(number: int, why: str, now: float) -> Event:
    """Say that the object with this number is damaged and was the last when that was found."""
    return {"event": "set_aside", "object": number, "why": why, "at": now}


def finding(kind: str, shard_id: str, detail: str, now: float) -> Event:
    """Say what does not fit."""
    return {"event": "finding", "kind": kind, "shard_id": shard_id, "detail": detail, "at": now}
