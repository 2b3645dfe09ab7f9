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
_ARN = re.compile(r"arn:aws[^:]*:bedrock:([a-z0-9-]*):[0-9]*:([a-z-]+)/(.+)")
# The Regions from which a geography's profiles can be called: Amazon Bedrock user guide, "Supported
# Regions and models for inference profiles". Any Region for words that are not listed.
_REGIONS = {
    "us": r"us-(?!gov-).*",
    "us-gov": r"us-gov-.*",
    "eu": r"eu-.*",
    "apac": r"ap-.*",
    "jp": r"ap-northeast-[13]",
    "au": r"ap-southeast-[24]",
    "in": r"ap-south-[12]",
    "ca": r"ca-.*",
    "sa": r"sa-.*",
    "me": r"me-.*",
    "af": r"af-.*",
}


@dataclass(frozen=True)
class ModelRef:
    """A resolved modelId: its ARN, the id of the foundation model behind it, and its family."""

    arn: str
    base_model_id: str
    family: Family


def resolve(model_id: str, region: str) -> ModelRef:
    """Resolve a model id or ARN, called in a Region. Raise ValidationException if there is none.

    An ARN must be of this Region, and a profile of its geography. Provisioned throughput is not
    resolved here: its ARN does not name its model.
    """
    match = _ARN.fullmatch(model_id)
    home, kind, name = match.groups() if match else (region, _kind_of_id(model_id), model_id)
    if home not in ("", region):
        raise invalid("The provided model identifier is invalid.")
    arn, base = model_id, name
    if kind == "foundation-model":
        arn = f"arn:aws:bedrock:{region}::foundation-model/{name}"
    elif kind == "inference-profile":
        profile = _PROFILE.fullmatch(name)
        base = profile.group(2) if profile else name
        regions = _REGIONS.get(profile.group(1), ".*") if profile else ".*"
        if re.fullmatch(regions, region) is None:
            raise invalid("The provided model identifier is invalid.")
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
