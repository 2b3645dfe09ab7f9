"""What a job that ended means for its shard: done, worth another attempt, or not before a person
has mended something.

The texts are those that AWS's users report of failed batch jobs; a message that is not known is
taken for the service's own trouble, which another attempt may not meet.
"""

from __future__ import annotations

import enum

from bedrock_spark.aws.batch_jobs import COMPLETED, FAILED, PARTIALLY_COMPLETED, SeenJob

# https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-permissions.html and messages
# of failed jobs in public issues: a role, a bucket policy or a key that is the same for every job.
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

CHECK = (
    "Check that batch.role_arn trusts bedrock.amazonaws.com, may read and write the run folder and "
    "invoke the model, and that the bucket is in the job's Region; then run submit again"
)


class Cause(enum.Enum):
    """Why a job did not complete, as far as it matters to its shard."""

    REFUSED = "refused"
    BAD_INPUT = "bad input"
    TROUBLE = "trouble"


def is_complete(job: SeenJob) -> bool:
    """Tell whether the service came to the end of a job, whatever became of its records."""
    return job.status in (COMPLETED, PARTIALLY_COMPLETED)


def cause_of(job: SeenJob) -> Cause:
    """Return why a settled job that is not complete ended."""
    if job.status != FAILED:
        return Cause.TROUBLE
    message = (job.message or "").lower()
    if any(text in message for text in _BAD_INPUT):
        return Cause.BAD_INPUT
    if any(text in message for text in _REFUSED):
        return Cause.REFUSED
    return Cause.TROUBLE
