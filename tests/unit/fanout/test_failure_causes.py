"""The message of a failed job decides what its shard needs next."""

from __future__ import annotations

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.model_refusals import MODEL_REFUSALS
from bedrock_spark.fanout.failure_causes import Cause, advice_on, cause_of

# A message of each kind of refusal, as the service words it.
MESSAGES = {
    "profile_needed": "Invocation of model ID x with on-demand throughput isn\u2019t supported.",
    "legacy": "Access denied. This Model is marked by provider as Legacy and you have not been",
    "ended": "This model version has reached the end of its life. Please refer to the docs.",
    "support_case": "Your account is not authorized to perform this action. Please create a case",
    "no_batch": "Batch inference is not supported for the requested model.",
    "no_access": "You don't have access to the model with the specified model ID.",
    "unknown_id": "The provided model identifier is invalid.",
    "no_converse": "This action doesn't support the model that you provided.",
    "no_tier": "The provided service tier is not supported for this model",
}


def failed(message: str) -> SeenJob:
    return SeenJob("arn", "name", "token", "Failed", message)


@pytest.mark.parametrize("refusal", MODEL_REFUSALS, ids=lambda refusal: refusal.name)
@pytest.mark.parametrize("prefix", ["", "ValidationException: "])
def test_a_refusal_of_the_model_holds_the_run(refusal: object, prefix: str) -> None:
    """Every job would meet it. The advice is the same as when a job is refused at once."""
    kind = next(kind for kind in MODEL_REFUSALS if kind is refusal)
    job = failed(prefix + MESSAGES[kind.name])
    assert cause_of(job) is Cause.REFUSED
    assert advice_on(str(job.message)) == f"{kind.advice} Then run submit again"


def test_any_other_refusal_is_about_the_role_the_bucket_or_the_key() -> None:
    """The advice says what to check."""
    job = failed("Could not validate GetObject permissions to access S3 bucket")
    assert cause_of(job) is Cause.REFUSED
    assert "batch.role_arn trusts bedrock.amazonaws.com" in advice_on(str(job.message))


def test_a_failure_that_says_nothing_is_tried_again() -> None:
    """An internal error is no refusal."""
    assert cause_of(failed("an internal error")) is Cause.TEMPORARY
