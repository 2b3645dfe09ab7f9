"""All families, and the one that serves a model id."""

from __future__ import annotations

import functools

from bedrock_emulator.families.anthropic import ANTHROPIC
from bedrock_emulator.families.chat import (
    DEEPSEEK_V3,
    GPT_OSS,
    JAMBA,
    MISTRAL_CHAT,
    OTHER_CHAT,
    QWEN,
)
from bedrock_emulator.families.completions import (
    COMMAND,
    COMMAND_R,
    DEEPSEEK_R1,
    JURASSIC,
    LLAMA,
    MISTRAL,
)
from bedrock_emulator.families.embeddings import (
    COHERE_EMBED,
    COHERE_EMBED_V4,
    NOVA_EMBED,
    TITAN_MULTIMODAL,
)
from bedrock_emulator.families.family import Family
from bedrock_emulator.families.images import SDXL, STABLE, TASK_IMAGES
from bedrock_emulator.families.nova import NOVA
from bedrock_emulator.families.titan import TITAN_EMBED_V1, TITAN_EMBED_V2, TITAN_TEXT

#: The first family whose pattern fits serves a model. MISTRAL stands before MISTRAL_CHAT, whose
#: pattern fits every Mistral model, and GPT_OSS before OTHER_CHAT, which fits every OpenAI model.
FAMILIES: tuple[Family, ...] = (
    ANTHROPIC,
    NOVA,
    TITAN_TEXT,
    TITAN_EMBED_V1,
    TITAN_EMBED_V2,
    TITAN_MULTIMODAL,
    TASK_IMAGES,
    COHERE_EMBED,
    COHERE_EMBED_V4,
    NOVA_EMBED,
    COMMAND_R,
    COMMAND,
    LLAMA,
    MISTRAL,
    MISTRAL_CHAT,
    JURASSIC,
    JAMBA,
    GPT_OSS,
    OTHER_CHAT,
    QWEN,
    DEEPSEEK_R1,
    DEEPSEEK_V3,
    SDXL,
    STABLE,
)


@functools.cache
def family_of(base_model_id: str) -> Family | None:
    """Return the family that serves a foundation model's id, or None."""
    for family in FAMILIES:
        if family.models.fullmatch(base_model_id):
            return family
    return None
