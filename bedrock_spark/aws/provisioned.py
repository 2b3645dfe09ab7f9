"""Provisioned throughput: does it exist, is it ready, and which model does it serve?"""

from __future__ import annotations

from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.protocols import BedrockClient, Reply
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError, JobError, ProvisionedModelError
from bedrock_spark.families import bare_model_id, family_of_model
from bedrock_spark.limits import PROVISIONED_MODEL_ARN

WAIT_SECONDS = 1800.0
POLL_SECONDS = 15.0
FAILED = "Failed"
# While it is updated it still serves.
READY = ("InService", "Updating")


def is_provisioned(model_id: str) -> bool:
    """Tell whether a model id is the ARN of a provisioned throughput."""
    return PROVISIONED_MODEL_ARN.fullmatch(model_id) is not None


def check_provisioned(
    client: BedrockClient, model_id: str, model: ModelConfig, clock: Clock
) -> bool:
    """Check that a provisioned model can answer this run; return whether it is ready now.

    Raises ProvisionedModelError if it does not exist, has failed, or is of another family.
    """
    described = get_provisioned(client, model_id, f"fallback.model_id {model_id}", clock)
    if described["status"] == FAILED:
        reason = described.get("failureMessage", "no reason given")
        raise ProvisionedModelError(f"fallback.model_id {model_id}: is Failed: {reason}")
    _check_family(described["foundationModelArn"], model_id, model)
    return described["status"] in READY


def wait_for_provisioned(
    client: BedrockClient, model_id: str, model: ModelConfig, clock: Clock
) -> None:
    """Wait until a provisioned model is in service: look every 15 seconds, for half an hour.

    Raises ProvisionedModelError if it cannot answer this run, or is not ready in that time.
    """
    deadline = clock.now() + WAIT_SECONDS
    while not check_provisioned(client, model_id, model, clock):
        if clock.now() >= deadline:
            raise ProvisionedModelError(
                f"fallback.model_id {model_id}: is still not in service after "
                f"{WAIT_SECONDS / 60:.0f} minutes; run again when it is InService"
            )
        clock.sleep(POLL_SECONDS)


def _check_family(base_arn: str, model_id: str, model: ModelConfig) -> None:
    if model.invocation == "converse" or model.family is not None:
        return
    base = bare_model_id(base_arn)
    own_family = family_of_model(model).name
    try:
        base_family = family_of_model(ModelConfig(id=base)).name
    except ConfigError:  # its message would blame model.id, which is not at fault here
        base_family = "unknown"
    if base_family != own_family:
        raise ProvisionedModelError(
            f"fallback.model_id {model_id}: serves {base}, of the family {base_family}; the "
            f"records of this run are {own_family} bodies"
        )


def get_provisioned(client: BedrockClient, arn: str, label: str, clock: Clock) -> dict[str, Any]:
    """Return the reply of GetProvisionedModelThroughput.

    label: the name of the provisioned throughput in error messages
    Raises ProvisionedModelError if the service refuses to describe it.
    """

    def call() -> Reply:
        with job_errors(f"looking up {label}", advise=False):
            return client.get_provisioned_model_throughput(provisionedModelId=arn)

    try:
        return retry_reading(clock)(call)
    except JobError as exc:
        raise ProvisionedModelError(str(exc)) from exc
