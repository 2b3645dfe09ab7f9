"""The family that answers behind any model id that InvokeModel takes.

Batch jobs take no provisioned throughput, so a run's `model.id` is never one; a single call may
well be made to one, and its ARN hides the model.
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.clients import AwsSettings, bedrock_client
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError, ProvisionedModelError
from bedrock_spark.families import Family, bare_model_id, family_by_name, family_of
from bedrock_spark.model_family import ask_family, hides_family
from bedrock_spark.provisioned import READY, get_provisioned

_PROVISIONED = ":provisioned-model/"


def served_family(aws: AwsSettings, model_id: str, clock: Clock) -> Family:
    """Return the family of a model id; the service is asked where the id hides it.

    Raises ConfigError where the family is not known, ProvisionedModelError where the provisioned
    throughput is not there or does not serve now.
    """
    is_provisioned = _PROVISIONED in model_id
    base = _provisioned_base(bedrock_client(aws), model_id, clock) if is_provisioned else model_id
    model = ModelConfig(id=bare_model_id(base))
    if hides_family(model):
        return family_by_name(ask_family(bedrock_client(aws), model, clock))
    try:
        return family_of(model)
    except ConfigError:  # it would speak of a config, and there may be none
        of_which = f" of {base}" if is_provisioned else ""
        raise ConfigError(f"{model_id}: the family{of_which} is not known") from None


def _provisioned_base(client: Any, arn: str, clock: Clock) -> str:
    """Return the ARN of the foundation model that a provisioned throughput serves."""
    found = get_provisioned(client, arn, arn, clock)
    if found["status"] not in READY:
        reason = found.get("failureMessage")
        why = f": {reason}" if reason else ""
        raise ProvisionedModelError(f"{arn}: is {found['status']} and serves nobody{why}")
    base: str = found["foundationModelArn"]
    return base
