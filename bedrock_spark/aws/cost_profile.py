"""The calls about an application inference profile that tells one run's costs apart."""

from __future__ import annotations

from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.protocols import BedrockClient, Reply
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobNameInUseError, JobRejectedError, NoFreeSlotError
from bedrock_spark.families import bare_model_id


def source_arn(client: BedrockClient, model_id: str, clock: Clock) -> str:
    """Return the ARN that a profile is copied from: of a foundation model or a system's profile."""

    def call() -> str:
        with job_errors(f"looking up {model_id}", advise=False):
            if bare_model_id(model_id) == model_id:
                reply = client.get_foundation_model(modelIdentifier=model_id)
                return str(reply["modelDetails"]["modelArn"])
            reply = client.get_inference_profile(inferenceProfileIdentifier=model_id)
            return str(reply["inferenceProfileArn"])

    if model_id.startswith("arn:"):
        return model_id
    return retry_reading(clock)(call)


def create_profile(client: BedrockClient, request: dict[str, Any], clock: Clock) -> str | None:
    """Create a profile and return its ARN; None if the service says that there is one already.

    request: with a clientRequestToken, so that a repeated call makes no second profile
    Raises JobRejectedError if the service refuses.
    """
    name = request["inferenceProfileName"]

    def call() -> Reply:
        with job_errors(f"creating the inference profile {name}", advise=False):
            return client.create_inference_profile(**request)

    try:
        return str(retry_reading(clock)(call)["inferenceProfileArn"])
    except JobNameInUseError:
        return None
    except NoFreeSlotError as exc:  # the quota of profiles, not of jobs
        raise JobRejectedError(f"batch.cost_profile: {exc}", error_type=exc.error_type) from exc


def find_profile(client: BedrockClient, name: str, clock: Clock) -> str | None:
    """Return the ARN of the application's profile of this name, or None."""

    def call() -> str | None:
        with job_errors(f"looking for the inference profile {name}", advise=False):
            pages = client.get_paginator("list_inference_profiles")
            profiles = (
                profile
                for page in pages.paginate(typeEquals="APPLICATION")
                for profile in page.get("inferenceProfileSummaries", ())
            )
            named = (each for each in profiles if each["inferenceProfileName"] == name)
            return next((str(each["inferenceProfileArn"]) for each in named), None)

    return retry_reading(clock)(call)


def delete_profile(client: BedrockClient, arn: str, clock: Clock) -> None:
    """Delete a profile. One that is gone already is deleted."""

    def call() -> None:
        try:
            with job_errors(f"deleting {arn}", advise=False):
                client.delete_inference_profile(inferenceProfileIdentifier=arn)
        except JobRejectedError as exc:
            if exc.error_type != "ResourceNotFoundException":
                raise

    retry_reading(clock)(call)
