"""Which family a model belongs to."""

from __future__ import annotations

import functools

from bedrock_spark.emulator.families.anthropic import ANTHROPIC
from bedrock_spark.emulator.families.family import Family
from bedrock_spark.emulator.families.nova import NOVA
from bedrock_spark.emulator.families.titan import TITAN_EMBED_V1, TITAN_EMBED_V2, TITAN_TEXT

FAMILIES: tuple[Family, ...] = (
    ANTHROPIC,
    NOVA,
    TITAN_EMBED_V1,
    TITAN_EMBED_V2,
    TITAN_TEXT,
)


@functools.cache
def family_of(base_model_id: str) -> Family | None:
    """Return the family of a foundation model's id, None if no family has such models."""
    for family in FAMILIES:
        if family.models.fullmatch(base_model_id):
            return family
    return None
