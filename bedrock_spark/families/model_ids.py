"""Model ids as AWS publishes them, to notice a misspelt one.

A selection from the Amazon Bedrock user guide, "Supported foundation models in Amazon Bedrock", and
from the price table in the PyPI package litellm 1.110.2. An id that is not listed is no fault:
models come every month. But an id with a word that is nearly one of the provider's words, or that
is only a part of a known id, is most likely a mistake.
"""

from __future__ import annotations

import difflib
import re

MODEL_IDS: tuple[str, ...] = (
    "ai21.j2-mid-v1",
    "ai21.j2-ultra-v1",
    "ai21.jamba-instruct-v1:0",
    "ai21.jamba-1-5-mini-v1:0",
    "ai21.jamba-1-5-large-v1:0",
    "amazon.nova-micro-v1:0",
    "amazon.nova-lite-v1:0",
    "amazon.nova-lite-v1:0:300k",
    "amazon.nova-pro-v1:0",
    "amazon.nova-premier-v1:0",
    "amazon.nova-2-lite-v1:0",
    "amazon.nova-2-multimodal-embeddings-v1:0",
    "amazon.nova-canvas-v1:0",
    "amazon.titan-tg1-large",
    "amazon.titan-text-lite-v1",
    "amazon.titan-text-lite-v1:0:4k",
    "amazon.titan-text-express-v1",
    "amazon.titan-text-express-v1:0:8k",
    "amazon.titan-text-premier-v1:0",
    "amazon.titan-embed-g1-text-02",
    "amazon.titan-embed-text-v1",
    "amazon.titan-embed-text-v1:2:8k",
    "amazon.titan-embed-text-v2:0",
    "amazon.titan-embed-text-v2:0:8k",
    "amazon.titan-embed-image-v1",
    "amazon.titan-embed-image-v1:0",
    "amazon.titan-image-generator-v1",
    "amazon.titan-image-generator-v1:0",
    "amazon.titan-image-generator-v2:0",
    "amazon.nova-2-pro-preview-20251202-v1:0",
    "anthropic.claude-instant-v1",
    "anthropic.claude-v2",
    "anthropic.claude-v2:1",
    "anthropic.claude-3-haiku-20240307-v1:0",
    "anthropic.claude-3-sonnet-20240229-v1:0",
    "anthropic.claude-3-opus-20240229-v1:0",
    "anthropic.claude-3-5-haiku-20241022-v1:0",
    "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "anthropic.claude-sonnet-4-20250514-v1:0",
    "anthropic.claude-opus-4-20250514-v1:0",
    "anthropic.claude-opus-4-1-20250805-v1:0",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-haiku-4-5-20251001-v1:0",
    "anthropic.claude-opus-4-5-20251101-v1:0",
    "anthropic.claude-opus-4-6-v1",
    "anthropic.claude-sonnet-4-6",
    "anthropic.claude-opus-4-7",
    "anthropic.claude-opus-4-8",
    "anthropic.claude-sonnet-5",
    "anthropic.claude-fable-5",
    "anthropic.claude-fable-5-1",
    "anthropic.claude-haiku-5-5",
    "anthropic.claude-mythos-5",
    "anthropic.claude-mythos-5-1",
    "anthropic.claude-mythos-preview",
    "anthropic.claude-opus-5",
    "anthropic.claude-opus-5-5",
    "anthropic.claude-sonnet-5-5",
    "cohere.command-text-v14",
    "cohere.command-light-text-v14",
    "cohere.command-r-v1:0",
    "cohere.command-r-plus-v1:0",
    "cohere.embed-english-v3",
    "cohere.embed-english-v3:0:512",
    "cohere.embed-multilingual-v3",
    "cohere.embed-multilingual-v3:0:512",
    "cohere.embed-v4:0",
    "deepseek.r1-v1:0",
    "deepseek.v3-v1:0",
    "deepseek.v3.2",
    "google.gemma-3-12b-it",
    "google.gemma-3-27b-it",
    "google.gemma-3-4b-it",
    "google.gemma-4-26b-a4b",
    "google.gemma-4-31b",
    "google.gemma-4-e2b",
    "meta.llama3-8b-instruct-v1:0",
    "meta.llama3-70b-instruct-v1:0",
    "meta.llama3-1-8b-instruct-v1:0",
    "meta.llama3-1-70b-instruct-v1:0",
    "meta.llama3-1-405b-instruct-v1:0",
    "meta.llama3-2-1b-instruct-v1:0",
    "meta.llama3-2-3b-instruct-v1:0",
    "meta.llama3-2-11b-instruct-v1:0",
    "meta.llama3-2-90b-instruct-v1:0",
    "meta.llama3-3-70b-instruct-v1:0",
    "meta.llama4-scout-17b-instruct-v1:0",
    "meta.llama4-maverick-17b-instruct-v1:0",
    "minimax.minimax-m2",
    "minimax.minimax-m2.1",
    "minimax.minimax-m2.5",
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mixtral-8x7b-instruct-v0:1",
    "mistral.mistral-small-2402-v1:0",
    "mistral.mistral-large-2402-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "mistral.mistral-large-3-675b-instruct",
    "mistral.pixtral-large-2502-v1:0",
    "mistral.magistral-small-2509",
    "mistral.ministral-3-3b-instruct",
    "mistral.ministral-3-8b-instruct",
    "mistral.ministral-3-14b-instruct",
    "mistral.devstral-2-123b",
    "mistral.voxtral-mini-3b-2507",
    "mistral.voxtral-small-24b-2507",
    "moonshot.kimi-k2-thinking",
    "moonshotai.kimi-k2-thinking",
    "moonshotai.kimi-k2.5",
    "moonshotai.kimi-k3",
    "moonshotai.kimi-k3.1",
    "nvidia.nemotron-nano-12b-v2",
    "nvidia.nemotron-nano-3-30b",
    "nvidia.nemotron-nano-9b-v2",
    "nvidia.nemotron-super-3-120b",
    "openai.gpt-oss-20b-1:0",
    "openai.gpt-oss-120b-1:0",
    "openai.gpt-5.4",
    "openai.gpt-5.5",
    "openai.gpt-5.6-luna",
    "openai.gpt-5.6-sol",
    "openai.gpt-5.6-terra",
    "openai.gpt-6-astra",
    "openai.gpt-6-luna",
    "openai.gpt-6-sol",
    "openai.gpt-6.1-sol",
    "openai.gpt-6.1-terra",
    "openai.gpt-oss-safeguard-120b",
    "openai.gpt-oss-safeguard-20b",
    "qwen.qwen3-32b-v1:0",
    "qwen.qwen3-235b-a22b-2507-v1:0",
    "qwen.qwen3-coder-30b-a3b-v1:0",
    "qwen.qwen3-coder-480b-a35b-v1:0",
    "qwen.qwen3-next-80b-a3b",
    "qwen.qwen3-vl-235b-a22b",
    "qwen.qwen3-coder-next",
    "stability.sd3-large-v1:0",
    "stability.sd3-5-large-v1:0",
    "stability.stable-image-core-v1:0",
    "stability.stable-image-core-v1:1",
    "stability.stable-image-ultra-v1:0",
    "stability.stable-image-ultra-v1:1",
    "stability.stable-diffusion-xl-v1",
    "stability.stable-diffusion-xl-v1:0",
    "twelvelabs.marengo-embed-2-7-v1:0",
    "twelvelabs.marengo-embed-3-0-v1:0",
    "twelvelabs.pegasus-1-2-v1:0",
    "twelvelabs.pegasus-1-5-v1:0",
    "writer.palmyra-vision-7b",
    "writer.palmyra-x4-v1:0",
    "writer.palmyra-x5-v1:0",
    "xai.grok-4.3",
    "xai.grok-4.6",
    "xai.grok-4.7",
    "zai.glm-4.7",
    "zai.glm-4.7-flash",
    "zai.glm-5",
    "zai.glm-5.3",
)
_KNOWN = frozenset(MODEL_IDS)
PROVIDERS = frozenset(model_id.split(".")[0] for model_id in MODEL_IDS)
_SHORTEST_WORD, _LONG_WORD = 3, 8
# -v1, -v1:0, -1:0, :0. Not -1 alone: claude-opus-5 is a model, and claude-opus-5-1 another.
_VERSION = re.compile(r"(-v\d+|-\d+(?=:)|:\d+)(:\d+)*$")


def meant_model_id(bare_id: str) -> str | None:
    """Return the known id that a misspelt one most likely means; None if it may be right.

    bare_id: without ARN and geography
    """
    lowered = bare_id.strip().lower()
    if bare_id in _KNOWN or "/" in bare_id:
        return None
    if lowered in _KNOWN:
        return lowered
    provider, dot, rest = lowered.partition(".")
    if not dot or provider not in PROVIDERS:
        return _nearest(lowered)
    begun = [known for known in MODEL_IDS if _is_begun(lowered, known)]
    if begun:
        return begun[0]
    words = _words(known for known in MODEL_IDS if known.startswith(f"{provider}."))
    is_misspelt = any(_is_nearly(word, words) for word in _words([rest]) - words)
    return _nearest(lowered) if is_misspelt else None


def nearest_model_id(bare_id: str) -> str | None:
    """Return the known id that is most like a text, however unlike it is; None if none is near."""
    return _nearest(bare_id.lower())


def _nearest(text: str) -> str | None:
    # A name without a provider, as in Anthropic's own API, is a part of the id.
    is_name = "." not in text and len(text) > _LONG_WORD
    inside = [known for known in MODEL_IDS if is_name and f".{text}" in known]
    close = inside or difflib.get_close_matches(text, MODEL_IDS, n=1, cutoff=0.75)
    return close[0] if close else None


def _is_begun(text: str, known: str) -> bool:
    """Tell whether an id is a known one without its version: `amazon.nova-lite`."""
    return known.startswith(text) and _VERSION.match(known[len(text) :]) is not None


def _words(ids: object) -> set[str]:
    return {
        word
        for model_id in ids  # type: ignore[attr-defined]
        for word in re.split(r"[-.:]", model_id)
        if len(word) >= _SHORTEST_WORD and not re.search(r"\d", word)
    }


def _is_nearly(word: str, words: set[str]) -> bool:
    most = 2 if len(word) >= _LONG_WORD else 1
    # Short words, such as pro and oss, are near to too many others.
    near = (w for w in words if len(w) > _SHORTEST_WORD and abs(len(word) - len(w)) <= most)
    return any(distance(word, w) <= most for w in near)


def distance(one: str, other: str) -> int:
    """Return how many letters must be added, removed, replaced or swapped with their neighbour.

    The optimal string alignment distance
    (https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance).
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
