"""Provisioned throughput: is it there, is it ready, and which model does it hide?"""

from __future__ import annotations

from typing import Any

from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError, JobError, ProvisionedModelError
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.limits import PROVISIONED_MODEL_ARN

WAIT_SECONDS = 1800.0
LOOK_SECONDS = 15.0
FAILED = "Failed"
# While it is updated it still serves.
READY = ("InService", "Updating")


def is_provisioned(model_id: str) -> bool:
    """Tell whether a model id is the ARN of a provisioned throughput."""
    return PROVISIONED_MODEL_ARN.fullmatch(model_id) is not None


def check_provisioned(client: Any, model_id: str, model: ModelConfig, clock: Clock) -> bool:
    """Check that a provisioned model can answer this run; tell whether it is ready to.

    Raises ProvisionedModelError where it is not there, failed, or is of another family.
    """
    found = get_provisioned(client, model_id, f"fallback.model_id {model_id}", clock)
    if found["status"] == FAILED:
        reason = found.get("failureMessage", "no reason given")
        raise ProvisionedModelError(f"fallback.model_id {model_id}: is Failed: {reason}")
    _check_family(found["foundationModelArn"], model_id, model)
    return found["status"] in READY


def wait_for_provisioned(client: Any, model_id: str, model: ModelConfig, clock: Clock) -> None:
    """Wait until a provisioned model is in service.

    Raises ProvisionedModelError where it cannot answer, or is not ready in half an hour.
    """
    deadline = clock.now() + WAIT_SECONDS
    while not check_provisioned(client, model_id, model, clock):
        if clock.now() >= deadline:
            raise ProvisionedModelError(
                f"fallback.model_id {model_id}: is still not in service after "
                f"{WAIT_SECONDS / 60:.0f} minutes; run again when it is InService"
            )
        clock.sleep(LOOK_SECONDS)


def _check_family(base_arn: str, model_id: str, model: ModelConfig) -> None:
    if model.invocation == "converse" or model.family is not None:
        return
    base = bare_model_id(base_arn)
    ours = family_of(model)
    try:
        theirs = family_of(ModelConfig(id=base)).name
    except ConfigError:  # it would speak of model.id, which is not the one at fault
        theirs = "unknown"
    if theirs != ours.name:
        raise ProvisionedModelError(
            f"fallback.model_id {model_id}: serves {base}, of the family {theirs}; the "
            f"records of this run are {ours.name} bodies"
        )


def get_provisioned(client: Any, arn: str, what: str, clock: Clock) -> dict[str, Any]:
    """Return what the service knows of a provisioned model, which `what` names in errors.

    Raises ProvisionedModelError where it does not say.
    """

    def call() -> dict[str, Any]:
        with job_errors(f"looking up {what}", advise=False):
            found: dict[str, Any] = client.get_provisioned_model_throughput(provisionedModelId=arn)
        return found

    try:
        return retry_reading(clock)(call)
    except JobError as exc:
        raise ProvisionedModelError(str(exc)) from exc
