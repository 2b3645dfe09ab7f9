"""The list of model families, and the family of each model id and config.

A model of no known family goes through Converse, which has one request for all chat models.
"""

from __future__ import annotations

from bedrock_spark.config import Config, ModelConfig
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
    nova_embeddings,
    qwen,
    raw,
    stability,
    titan_embeddings,
    titan_multimodal,
    titan_text,
)
from bedrock_spark.families.bare_ids import bare_model_id, is_bare_model_id
from bedrock_spark.families.base import Family, ModelLimits
from bedrock_spark.families.no_chat import what_else

FAMILIES: tuple[Family, ...] = (
    anthropic.FAMILY,
    nova.FAMILY,
    titan_text.FAMILY,
    titan_embeddings.FAMILY,
    titan_multimodal.FAMILY,
    nova_embeddings.FAMILY,
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


def family_by_name(name: str) -> Family:
    """Return the family of this name. Raises ConfigError, which lists the names."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise ConfigError(f"model.family = {name!r}: must be one of {_names()}")


def family_of(config: Config) -> Family:
    """Return the family that builds and reads the records of a config. Raises ConfigError.

    If a model takes images only through Converse, a request with images makes it `converse`.
    """
    family = family_of_model(config.model)
    return converse.FAMILY if _images_need_converse(config, family) else family


def family_of_model(model: ModelConfig) -> Family:
    """Return the family of a model, whatever it is asked. Raises ConfigError."""
    if model.invocation == "converse":
        if model.family not in (None, "converse"):
            raise ConfigError(
                f"model.family = {model.family!r}: with invocation converse, leave it out"
            )
        return converse.FAMILY
    if model.family is not None:
        return _named_family(model)
    bare = bare_model_id(model.id)
    family = _family_by_id(bare)
    if family is not None:
        return family
    if not is_bare_model_id(bare) or model.invocation is not None:
        raise ConfigError(
            f"model.id = {model.id!r}: the id does not show its family. Set model.family to "
            f"one of {_names()}, or use invocation: converse"
        )
    other = what_else(bare)
    if other is not None:
        raise ConfigError(
            f"model.id = {model.id!r}: {other}, and no family builds its requests. Write the whole "
            "request as request.body, with model.family: raw"
        )
    return converse.FAMILY


def converse_reason(config: Config) -> str | None:
    """Return why the records go through Converse although the config does not say so.

    None if the config says how they go, if they go as the model's own bodies, or if no family fits.
    """
    model = config.model
    if model.invocation is not None or model.family is not None:
        return None
    try:
        family = family_of_model(model)
    except ConfigError:
        return None
    if family is converse.FAMILY:
        return f"no family is known for {model.id}"
    if _images_need_converse(config, family):
        return f"{model.id} takes images only in Converse requests"
    return None


def invocation_of(config: Config) -> str:
    """Return the type of a config's records: `converse` or `invoke_model`. Raises ConfigError."""
    return "converse" if family_of(config) is converse.FAMILY else "invoke_model"


def limits_of(config: Config) -> ModelLimits:
    """Return what the model takes of one row, through Converse too. Raises ConfigError."""
    family, bare = family_of(config), bare_model_id(config.model.id)
    if family is converse.FAMILY:
        family = _family_by_id(bare) or family
    return family.limits_of(bare)


def _named_family(model: ModelConfig) -> Family:
    family = family_by_name(str(model.family))
    if family is converse.FAMILY and model.invocation is not None:
        raise ConfigError(
            "model.invocation = 'invoke_model': the family converse goes through Converse; leave "
            "invocation out"
        )
    return family


def _family_by_id(bare_id: str) -> Family | None:
    matching = (f for f in FAMILIES if f.pattern is not None and f.pattern.fullmatch(bare_id))
    return next(matching, None)


def _images_need_converse(config: Config, family: Family) -> bool:
    model, sees = config.model, family.converse_images
    is_open = model.invocation is None and model.family is None
    if not is_open or sees is None or not config.request.images:
        return False
    return sees.fullmatch(bare_model_id(model.id)) is not None


def _names() -> str:
    return ", ".join(family.name for family in FAMILIES)
