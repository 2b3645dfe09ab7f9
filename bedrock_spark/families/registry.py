"""The list of model families, and the family of each model id."""

from __future__ import annotations

import re

from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import (
    amazon_images,
    anthropic,
    cohere_command,
    cohere_embed,
    converse,
    deepseek,
    gpt_oss,
    jamba,
    llama,
    mistral,
    nova,
    qwen,
    raw,
    stability,
    titan_embeddings,
    titan_multimodal,
    titan_text,
)
from bedrock_spark.families.base import Family, ModelLimits

FAMILIES: tuple[Family, ...] = (
    anthropic.FAMILY,
    nova.FAMILY,
    titan_text.FAMILY,
    titan_embeddings.FAMILY,
    titan_multimodal.FAMILY,
    amazon_images.FAMILY,
    cohere_command.COMMAND,
    cohere_command.COMMAND_R,
    cohere_embed.FAMILY,
    llama.LLAMA3,
    llama.LLAMA4,
    mistral.INSTRUCT,
    mistral.CHAT,
    jamba.FAMILY,
    stability.FAMILY,
    stability.XL,
    gpt_oss.FAMILY,
    qwen.FAMILY,
    deepseek.R1,
    deepseek.V3,
    converse.FAMILY,
    raw.FAMILY,
)

# A cross-Region inference profile is named by a geography and the model id, as in
# eu.anthropic.claude-…: Amazon Bedrock user guide, "Supported Regions and models for inference
# profiles" (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
# Not confirmed: sa, me and af, which other public code lists.
GEOGRAPHIES: tuple[str, ...] = (
    *("us", "us-gov", "eu", "apac", "jp", "au", "ca"),
    *("sa", "me", "af", "in", "global"),
)
# Only before a provider's name: `us.x` alone is no profile.
_GEOGRAPHY = re.compile(rf"^({'|'.join(GEOGRAPHIES)})\.(?=[a-z0-9-]+\.)")
_MODEL_ARN = re.compile(
    r"^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]*:\d*:(foundation-model|inference-profile)/"
)


def without_geography(model_id: str) -> str:
    """Return the model id of a cross-Region inference profile's id; any other id unchanged."""
    return _GEOGRAPHY.sub("", model_id, count=1)


def bare_model_id(model_id: str) -> str:
    """Return the model id without ARN and geography. An ARN without a model id stays unchanged."""
    return without_geography(_MODEL_ARN.sub("", model_id, count=1))


def family_by_name(name: str) -> Family:
    """Return the family of this name. Raises ConfigError, which lists the names."""
    for family in FAMILIES:
        if family.name == name:
            return family
    names = ", ".join(f.name for f in FAMILIES)
    raise ConfigError(f"model.family = {name!r}: must be one of {names}")


def family_of(model: ModelConfig) -> Family:
    """Return the family that builds and reads a model's records. Raises ConfigError."""
    if model.invocation == "converse":
        if model.family not in (None, "converse"):
            raise ConfigError(
                f"model.family = {model.family!r}: with invocation converse, leave it out"
            )
        return converse.FAMILY
    if model.family is not None:
        return family_by_name(model.family)
    bare = bare_model_id(model.id)
    for family in FAMILIES:
        if family.pattern is not None and family.pattern.fullmatch(bare):
            return family
    names = ", ".join(f.name for f in FAMILIES)
    raise ConfigError(
        f"model.id = {model.id!r}: its family cannot be told from the id. Set model.family to one "
        f"of {names}, or use invocation: converse"
    )


def limits_of(model: ModelConfig) -> ModelLimits:
    """Return what a model takes of one row, through Converse too. Raises ConfigError."""
    family, bare = family_of(model), bare_model_id(model.id)
    if family is converse.FAMILY:
        matching = (f for f in FAMILIES if f.pattern is not None and f.pattern.fullmatch(bare))
        family = next(matching, family)
    return family.limits_of(bare)
