"""The list of model families, and which one a model id belongs to."""

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
from bedrock_spark.families.base import Family

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

# Cross-Region inference profiles put a geography before the model id: us., eu., apac., global., …
_GEOGRAPHY = re.compile(r"^(us|us-gov|eu|apac|jp|au|ca|sa|global)\.(?=[a-z0-9-]+\.)")
_MODEL_ARN = re.compile(
    r"^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]*:\d*:(foundation-model|inference-profile)/"
)


def bare_model_id(model_id: str) -> str:
    """Return the model id without ARN and geography; an ARN that hides it comes back whole."""
    return _GEOGRAPHY.sub("", _MODEL_ARN.sub("", model_id, count=1), count=1)


def family_by_name(name: str) -> Family:
    """Return the family of this name. Raises ConfigError with the names there are."""
    for family in FAMILIES:
        if family.name == name:
            return family
    known = ", ".join(f.name for f in FAMILIES)
    raise ConfigError(f"model.family = {name!r}: must be one of {known}")


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
    known = ", ".join(f.name for f in FAMILIES)
    raise ConfigError(
        f"model.id = {model.id!r}: its family cannot be told from the id. Set model.family to one "
        f"of {known}, or use invocation: converse"
    )
