"""The family of a model id that does not show it: the service is asked once, when a run begins.

The ARN of an application inference profile names no model, and neither does the ARN of an imported
custom model. The service's answer is written into the run's config and never asked for again. If
the id or the config shows the family, no call is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bedrock_spark.aws.clients import AwsSettings, bedrock_client
from bedrock_spark.aws.errors import job_errors
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.aws.provisioned import READY, get_provisioned
from bedrock_spark.aws.retry import retry_reading
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError, JobError, ProvisionedModelError
from bedrock_spark.families import FAMILIES, Family, bare_model_id, family_by_name, family_of_model
from bedrock_spark.families.no_chat import what_else

_HIDING_ARN = re.compile(
    r"arn:aws(-[^:]+)?:bedrock:[a-z0-9-]*:\d*:(application-inference-profile|custom-model)/.+"
)
# The ARN of a custom model names its base: custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl.
# The ARN of an imported model does not: custom-model/imported/abcdefghijkl.
_BASE_IN_ARN = re.compile(r".*:custom-model/([^/]+\.[^/]+)/[^/]+")
# The base of a custom model may be a custom model, too. No chain in practice is this long.
_MAX_GENERATIONS = 5


def base_in_arn(arn: str) -> str | None:
    """Return the base model that the ARN of a custom model names; None for an imported one."""
    named = _BASE_IN_ARN.fullmatch(arn)
    return named[1] if named else None


def hides_family(model: ModelConfig) -> bool:
    """Tell whether neither a model's id nor the config shows its family."""
    is_open = model.invocation == "converse" or model.family is not None
    return not is_open and _HIDING_ARN.fullmatch(model.id) is not None


def ask_family(client: BedrockClient, model: ModelConfig, clock: Clock) -> str:
    """Return the name of the family that `model.id` hides.

    Calls GetInferenceProfile or GetCustomModel, unless the ARN of a custom model names its base.
    Raises ConfigError if the service does not say; its message says what to set or to allow.
    """
    base = ask_base(client, model.id, clock)
    try:
        return family_of_model(ModelConfig(id=bare_model_id(base))).name
    except ConfigError:
        raise ConfigError(
            f"model.id = {model.id!r}: is based on {base}, whose family is not known. {_advice()}"
        ) from None


def ask_base(client: BedrockClient, model_id: str, clock: Clock) -> str:
    """Return the id or the ARN of the foundation model that a model id hides.

    Calls and errors are those of `ask_family`. An id that hides nothing is returned as it is.
    """
    base = model_id
    for _ in range(_MAX_GENERATIONS):
        if _HIDING_ARN.fullmatch(base) is None:
            break
        base = base_in_arn(base) or _ask_base(client, base, model_id, clock)
    return base


def _ask_base(client: BedrockClient, arn: str, model_id: str, clock: Clock) -> str:
    """Return the base of an ARN: the ARN of a foundation model, or of another custom model."""
    is_profile = ":application-inference-profile/" in arn
    action = "GetInferenceProfile" if is_profile else "GetCustomModel"
    ask = _profile_base if is_profile else _custom_base
    try:
        base = retry_reading(clock)(_with_our_errors(lambda: ask(client, arn), action))
    except JobError as exc:
        raise ConfigError(
            f"model.id = {model_id!r}: the id does not show its family, and {exc}. Allow "
            f"bedrock:{action} on it, or avoid the call: {_advice()}"
        ) from exc
    if base is None:
        raise ConfigError(
            f"model.id = {model_id!r}: the id does not show its family, and {action} names "
            f"no base model. {_advice()}"
        )
    return base


def _with_our_errors(ask: Callable[[], str | None], action: str) -> Callable[[], str | None]:
    def call() -> str | None:
        with job_errors(action, advise=False):
            return ask()

    return call


def _profile_base(client: BedrockClient, arn: str) -> str | None:
    """Return the model of a profile, which has one ARN of the same model per Region."""
    profile = client.get_inference_profile(inferenceProfileIdentifier=arn)
    arns = (model.get("modelArn") for model in profile.get("models", ()))
    return next((arn for arn in arns if arn), None)


def _custom_base(client: BedrockClient, arn: str) -> str | None:
    base: str | None = client.get_custom_model(modelIdentifier=arn).get("baseModelArn")
    return base


def _advice() -> str:
    names = ", ".join(family.name for family in FAMILIES)
    return f"set model.family to one of {names}, or use invocation: converse"


_PROVISIONED = ":provisioned-model/"


@dataclass(frozen=True)
class ServedModel:
    """A model that can be asked.

    id: as it is sent: a model id, an inference profile or an ARN
    base: the foundation model behind a provisioned throughput, a profile or a custom model, as far
        as it is known; otherwise `id`
    note: why it is asked by Converse although nobody asked for that; None if it is not so
    """

    id: str
    family: Family
    base: str
    note: str | None = None


def served_family(aws: AwsSettings, model_id: str, clock: Clock) -> Family:
    """Return the family of a model id. Calls the service only if the id hides it.

    Raises ConfigError if the family is unknown, and ProvisionedModelError if the id is a
    provisioned throughput that does not exist or does not serve now.
    """
    served = _served_by(aws, model_id, clock)
    model = ModelConfig(id=bare_model_id(served))
    if hides_family(model):
        return family_by_name(ask_family(bedrock_client(aws), model, clock))
    family = _family_of_base(served)
    if family is None:
        of_base = f" of {served}" if served != model_id else ""
        raise ConfigError(f"{model_id}: the family{of_base} is not known")
    return family


def served_model(aws: AwsSettings, model_id: str, clock: Clock) -> ServedModel:
    """Return a model with its family. A chat model of no known family is asked by Converse.

    Calls the service only if the id hides the model.
    Raises ConfigError for a model that is no chat model and of no family, and
    ProvisionedModelError if the id is a provisioned throughput that does not exist or does not
    serve now.
    """
    base = served = _served_by(aws, model_id, clock)
    if hides_family(ModelConfig(id=bare_model_id(served))):
        with suppress(ConfigError):  # the service does not name the model that the id hides
            base = ask_base(bedrock_client(aws), served, clock)
    family = _family_of_base(base)
    if family is not None and family.name != _CONVERSE:
        return ServedModel(model_id, family, base)
    does = what_else(bare_model_id(base))
    if does is not None:
        raise ConfigError(f"{model_id}: {does}, and no family builds its requests")
    note = f"no family is known for {base}, so it is asked by Converse"
    return ServedModel(model_id, family_by_name(_CONVERSE), base, note)


_CONVERSE = "converse"


def _served_by(aws: AwsSettings, model_id: str, clock: Clock) -> str:
    """Return the model that a provisioned throughput serves; another id as it is."""
    is_provisioned = _PROVISIONED in model_id
    return _provisioned_base(bedrock_client(aws), model_id, clock) if is_provisioned else model_id


def _family_of_base(base: str) -> Family | None:
    """Return the family that an id shows; None if it shows none."""
    try:
        return family_of_model(ModelConfig(id=bare_model_id(base)))
    except ConfigError:  # its message is about a config, and there may be none
        return None


def _provisioned_base(client: BedrockClient, arn: str, clock: Clock) -> str:
    """Return the ARN of the foundation model that a provisioned throughput serves."""
    described = get_provisioned(client, arn, arn, clock)
    if described["status"] not in READY:
        reason = described.get("failureMessage")
        suffix = f": {reason}" if reason else ""
        raise ProvisionedModelError(f"{arn}: is {described['status']} and does not serve{suffix}")
    base: str = described["foundationModelArn"]
    return base
