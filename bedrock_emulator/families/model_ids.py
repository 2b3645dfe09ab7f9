"""Resolve a modelId: a foundation model, a system-defined inference profile or a custom model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bedrock_emulator.errors import invalid
from bedrock_emulator.families.family import Family
from bedrock_emulator.families.registry import family_of
from bedrock_emulator.settings import ACCOUNT_ID

# A cross-Region inference profile: a geography, a provider and a model. AWS adds geographies, so
# any word that the service model allows there is one. The model begins with a letter: in
# zai.glm-4.7, the digit after the second dot belongs to a version.
_PROFILE = re.compile(r"([a-z][a-z-]{1,7})\.([a-z0-9-]+\.[a-z].*)")
_ARN = re.compile(r"arn:aws[^:]*:bedrock:[a-z0-9-]*:[0-9]*:([a-z-]+)/(.+)")


@dataclass(frozen=True)
class ModelRef:
    """A resolved modelId: its ARN, the id of the foundation model behind it, and its family."""

    arn: str
    base_model_id: str
    family: Family


def resolve(model_id: str, region: str) -> ModelRef:
    """Resolve a model id or ARN. Raise ValidationException if no family serves it.

    Provisioned throughput is not resolved here: its ARN does not name its model.
    """
    match = _ARN.fullmatch(model_id)
    kind, name = match.groups() if match else (_kind_of_id(model_id), model_id)
    arn, base = model_id, name
    if kind == "foundation-model":
        arn = f"arn:aws:bedrock:{region}::foundation-model/{name}"
    elif kind == "inference-profile":
        profile = _PROFILE.fullmatch(name)
        base = profile.group(2) if profile else name
        arn = f"arn:aws:bedrock:{region}:{ACCOUNT_ID}:inference-profile/{name}"
    elif kind == "custom-model":
        base = name.split("/")[0]
    else:
        raise invalid("The provided model identifier is invalid.")
    family = family_of(base)
    if family is None:
        raise invalid("The provided model identifier is invalid.")
    return ModelRef(arn, base, family)


def _kind_of_id(name: str) -> str:
    return "inference-profile" if _PROFILE.fullmatch(name) else "foundation-model"
