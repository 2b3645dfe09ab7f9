"""The token, name and output place of one attempt: functions of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bedrock_spark.limits import JOB_NAME_MAX
from bedrock_spark.run_folder import layout

_DIGEST_LENGTH = 8


@dataclass(frozen=True)
class JobPlan:
    """One attempt at one shard: everything about it follows from four values.

    Whoever submits this attempt, on whatever machine, gives the job the same token, name and place:
    the service then makes one job of them. `records` and `target` say how many records its input
    has, where that is not the whole shard, and which of several targets takes it.
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    input_key: str
    output_prefix: str
    records: int | None = None
    target: str = ""


def plan_job(
    run_id: str,
    shard_id: str,
    sha256: str,
    model_id: str,
    attempt: int,
    *,
    input_key: str | None = None,
    records: int | None = None,
    target: str = "",
) -> JobPlan:
    """Return the token, name and place of an attempt: functions of the first five alone.

    sha256: of the bytes that the job reads, which are the shard's own unless `input_key` is given
    """
    identity = "\n".join((run_id, sha256, model_id, str(attempt)))
    token = hashlib.sha256(identity.encode()).hexdigest()
    return JobPlan(
        shard_id=shard_id,
        attempt=attempt,
        job_name=_job_name(run_id, shard_id, attempt, token),
        token=token,
        input_key=input_key or layout.shard_key(shard_id),
        output_prefix=output_prefix(shard_id, attempt, token),
        records=records,
        target=target,
    )


def output_prefix(shard_id: str, attempt: int, token: str) -> str:
    """Return the folder that the job with this token is given for its output."""
    return layout.attempt_prefix(shard_id, attempt, token[:_DIGEST_LENGTH])


def _job_name(run_id: str, shard_id: str, attempt: int, token: str) -> str:
    """Begin with the run id: a listing of names that contain it finds the run's jobs."""
    name = f"{run_id}-{shard_id}-a{attempt}-{token[:_DIGEST_LENGTH]}"
    if len(name) <= JOB_NAME_MAX:
        return name
    return f"{run_id}-{token}"[:JOB_NAME_MAX]
