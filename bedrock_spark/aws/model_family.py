"""The family of a model id that hides it: asked of the service once, when a run is begun.

The ARN of an application inference profile names no model, nor does that of an imported custom
model. What the service says is written into the run's config, and nobody asks again. Where the id
tells, or the config does, nothing is asked at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bedrock_spark.aws.clients import AwsSettings, bedrock_client
from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.provisioned import READY, get_provisioned
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError, JobError, ProvisionedModelError
from bedrock_spark.families import FAMILIES, Family, bare_model_id, family_by_name, family_of

_HIDING_ARN = re.compile(
    r"arn:aws(-[^:]+)?:bedrock:[a-z0-9-]*:\d*:(application-inference-profile|custom-model)/.+"
)
# A custom model of a base model names it: custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl.
# One that was imported does not: custom-model/imported/abcdefghijkl.
_BASE_IN_ARN = re.compile(r".*:custom-model/([^/]+\.[^/]+)/[^/]+")
# A custom model may be made of a custom model, and so on; nobody does it this often.
_GENERATIONS = 5


def hides_family(model: ModelConfig) -> bool:
    """Tell whether a model's family stands neither in its id nor in the config."""
    is_open = model.invocation == "converse" or model.family is not None
    return not is_open and _HIDING_ARN.fullmatch(model.id) is not None


def ask_family(client: Any, model: ModelConfig, clock: Clock) -> str:
    """Return the name of the family that `model.id` hides.

    Calls GetInferenceProfile or GetCustomModel, unless the ARN of a custom model names its base.
    Raises ConfigError, saying what to set or to allow, where the service does not tell.
    """
    base = model.id
    for _ in range(_GENERATIONS):
        if _HIDING_ARN.fullmatch(base) is None:
            break
        named = _BASE_IN_ARN.fullmatch(base)
        base = named[1] if named else _ask_base(client, base, model.id, clock)
    try:
        return family_of(ModelConfig(id=bare_model_id(base))).name
    except ConfigError:
        raise ConfigError(
            f"model.id = {model.id!r}: is made of {base}, whose family is not known. {_advice()}"
        ) from None


def _ask_base(client: Any, arn: str, model_id: str, clock: Clock) -> str:
    """Return what an ARN is made of: the ARN of a foundation model, or of another custom model."""
    is_profile = ":application-inference-profile/" in arn
    action = "GetInferenceProfile" if is_profile else "GetCustomModel"
    ask = _profile_base if is_profile else _custom_base
    try:
        found = retry_reading(clock)(_one_call(lambda: ask(client, arn), action))
    except JobError as exc:
        raise ConfigError(
            f"model.id = {model_id!r}: its family cannot be told from the id, and {exc}. Allow "
            f"bedrock:{action} on it, or do without: {_advice()}"
        ) from exc
    if found is None:
        raise ConfigError(
            f"model.id = {model_id!r}: its family cannot be told from the id, and {action} names "
            f"no model that it is made of. {_advice()}"
        )
    return found


def _one_call(ask: Callable[[], str | None], action: str) -> Callable[[], str | None]:
    def call() -> str | None:
        with job_errors(action, advise=False):
            return ask()

    return call


def _profile_base(client: Any, arn: str) -> str | None:
    """Return the model of a profile; it has one per Region it routes to, all the same model."""
    found = client.get_inference_profile(inferenceProfileIdentifier=arn)
    arns = (model.get("modelArn") for model in found.get("models", ()))
    return next((arn for arn in arns if arn), None)


def _custom_base(client: Any, arn: str) -> str | None:
    base: str | None = client.get_custom_model(modelIdentifier=arn).get("baseModelArn")
    return base


def _advice() -> str:
    known = ", ".join(family.name for family in FAMILIES)
    return f"set model.family to one of {known}, or use invocation: converse"


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
