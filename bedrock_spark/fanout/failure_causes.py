"""Decide by a job's status and message what its shard needs next.

Nothing more, another attempt, or a person who first corrects the setup (a role, a policy, a key).
The texts below are from messages of failed batch jobs that users of AWS published. If a message
contains none of them, the failure counts as temporary: another attempt may succeed.
"""

from __future__ import annotations

import enum

from bedrock_spark.aws.batch_jobs import COMPLETED, FAILED, PARTIALLY_COMPLETED, SeenJob
from bedrock_spark.aws.model_refusals import refusal_in

# https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-permissions.html and messages
# of failed jobs in public issues: a role, a bucket policy or a key. Every job would meet the same.
_REFUSED = (
    "permission",
    "access denied",
    "accessdenied",
    "not authorized",
    "could not validate",
    "cannot assume",
    "unable to assume",
    "assume role",
    "does not exist",
    "no such bucket",
    "nosuchbucket",
    "kms",
)
# The job's own input: the same bytes would fail again.
_BAD_INPUT = (
    "required minimum",
    "less records",
    "more records",
    "exceeds the maximum",
    "malformed",
)

_CHECK = (
    "Check that batch.role_arn trusts bedrock.amazonaws.com, may read and write the run folder and "
    "invoke the model, and that the bucket is in the job's Region; then run submit again"
)


class Cause(enum.Enum):
    """Why a job did not complete, as far as it decides what its shard needs next.

    REFUSED: no job can succeed before a person corrects the setup
    BAD_INPUT: a job with the same input would fail again
    TEMPORARY: another attempt may succeed
    """

    REFUSED = "refused"
    BAD_INPUT = "bad input"
    TEMPORARY = "temporary"


def advice_on(message: str) -> str:
    """Return what to do about the message of a failed job that holds the run."""
    refusal = refusal_in(message)
    return _CHECK if refusal is None else f"{refusal.advice} Then run submit again"


def is_complete(job: SeenJob) -> bool:
    """Tell whether the service processed a job to its end, even if some or all records failed."""
    return job.status in (COMPLETED, PARTIALLY_COMPLETED)


def cause_of(job: SeenJob) -> Cause:
    """Return why a job that is settled and not complete ended."""
    if job.status != FAILED:
        return Cause.TEMPORARY
    message = (job.message or "").lower()
    if any(text in message for text in _BAD_INPUT):
        return Cause.BAD_INPUT
    if any(text in message for text in _REFUSED) or refusal_in(message) is not None:
        return Cause.REFUSED
    return Cause.TEMPORARY
