"""Derive the request token, the name and the output folder of one attempt from its content.

So creating a job is idempotent: the service makes one job of all requests with the same token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from bedrock_spark.limits import JOB_NAME_MAX
from bedrock_spark.run_folder import layout

_DIGEST_LENGTH = 8


@dataclass(frozen=True)
class Place:
    """Where a job is made. It is kept with the intent: the targets in the config may change.

    folder: the URI below which the job reads and writes; None for the run folder
    """

    region: str
    model_id: str
    folder: str | None = None


@lru_cache(maxsize=128)
def place_of(region: str, model_id: str, folder: str | None) -> Place:
    """Return a place. A run has few of them, and its many jobs share them."""
    return Place(region, model_id, folder)


@dataclass(frozen=True)
class JobPlan:
    """One attempt at one shard. Token, name and output folder are functions of its content.

    Any process that submits this attempt, on any machine, gives the job the same token, name and
    output folder. So the service makes one job of all its requests.

    attempt: its number, from 1
    input_key: the object that the job reads, or the folder of such objects
    records: the number of records in the input; None if the job reads the whole shard
    target: the name of the target that runs the job; "" for the home target
    place: where that is; None if the ledger does not say
    longer: the output tokens that its records may use because their limits were raised
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    input_key: str
    output_prefix: str
    records: int | None = None
    target: str = ""
    place: Place | None = None
    longer: int = 0

    @property
    def part_key(self) -> str | None:
        """Return what the job reads if it is not the whole shard, else None."""
        return None if self.records is None else self.input_key


def plan_job(
    run_id: str,
    shard_id: str,
    sha256: str,
    model_id: str,
    attempt: int,
    *,
    prepare_id: str,
    input_key: str | None = None,
    records: int | None = None,
    target: str = "",
    place: Place | None = None,
    longer: int = 0,
) -> JobPlan:
    """Return the plan of an attempt. Token, name and output folder depend on five arguments alone.

    These are run_id, shard_id, sha256, model_id and attempt.

    sha256: of the bytes that the job reads
    prepare_id: of the prepare that wrote the shard
    input_key: what the job reads, if it is not the object of a shard of one file
    """
    identity = "\n".join((run_id, sha256, model_id, str(attempt)))
    token = hashlib.sha256(identity.encode()).hexdigest()
    return JobPlan(
        shard_id=shard_id,
        attempt=attempt,
        job_name=_job_name(run_id, shard_id, attempt, token),
        token=token,
        input_key=input_key or layout.shard_key(shard_id, prepare_id),
        output_prefix=output_prefix(shard_id, attempt, token),
        records=records,
        target=target,
        place=place,
        longer=longer,
    )


def output_prefix(shard_id: str, attempt: int, token: str) -> str:
    """Return the output folder of the job with this token."""
    return layout.attempt_prefix(shard_id, attempt, token[:_DIGEST_LENGTH])


def _job_name(run_id: str, shard_id: str, attempt: int, token: str) -> str:
    """Return a name that begins with the run id: listings find the jobs of a run by it."""
    name = f"{run_id}-{shard_id}-a{attempt}-{token[:_DIGEST_LENGTH]}"
    if len(name) <= JOB_NAME_MAX:
        return name
    # Too long, so without shard and attempt: the token identifies both.
    return f"{run_id}-{token}"[:JOB_NAME_MAX]
