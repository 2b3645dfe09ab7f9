"""The limit of the tokens of an answer: which key of a body has it, and how far it may go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.bare_ids import bare_model_id
from bedrock_spark.families.base import Family
from bedrock_spark.families.option_places import options_by_place
from bedrock_spark.families.registry import family_of

# The names that model families give to the limit, and the members that hold it in some bodies.
KEYS = (
    *("max_tokens", "max_completion_tokens", "max_gen_len", "max_new_tokens"),
    *("maxTokens", "maxTokenCount", "max_tokens_to_sample"),
)
SECTIONS = ("inferenceConfig", "textGenerationConfig")
# The most output tokens that a request may ask for. Nova Micro, Llama 4: a public report on some 70
# batch jobs. Claude 3 Haiku: continuedev/continue #4225. R1: Amazon Bedrock user guide, "DeepSeek
# models".
KNOWN_LIMITS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"amazon\.nova-micro-.*"), 10_000),
    (re.compile(r"meta\.llama4-.*"), 8_192),
    (re.compile(r"anthropic\.claude-3-haiku-.*"), 4_096),
    (re.compile(r"deepseek\.r1-.*"), 32_768),
)


@dataclass(frozen=True)
class Ceiling:
    """The limit that every request of a run has.

    path: the keys that lead to it in a body
    tokens: its value
    """

    path: tuple[str, ...]
    tokens: int

    def after(self, doublings: int, most: int) -> int:
        """Return the limit after it was doubled some times, at most `most`."""
        return min(self.tokens << doublings, max(most, self.tokens))

    def doublings_to(self, most: int) -> int:
        """Return how often it can be doubled until it is `most`; the last time, by less."""
        return max(0, (most - 1) // self.tokens).bit_length() if most > self.tokens else 0


def known_limit(bare_model_id: str) -> int | None:
    """Return the most tokens that a request may ask of a model; None if that is not known."""
    return next((n for models, n in KNOWN_LIMITS if models.fullmatch(bare_model_id)), None)


def model_limit(config: Config) -> int | None:
    """Return the known limit of a config's model."""
    return known_limit(bare_model_id(config.model.id))


def ceiling_of(config: Config) -> Ceiling | None:
    """Return the limit of the requests of a config; None if they have none that is known here.

    A body that a column holds, and a limit that a placeholder gives, may differ from row to row.
    """
    request = config.request
    if request.body is not None:
        return _in_body(request.body)
    if request.max_tokens is None:
        return None
    try:
        path = _place_of_option(family_of(config), config)
    except ConfigError:
        return None
    return None if path is None else Ceiling(path, request.max_tokens)


def _in_body(body: Mapping[str, Any]) -> Ceiling | None:
    """Return the only limit of a body that the user wrote."""
    found = [
        Ceiling((*section, key), holder[key])
        for section, holder in (((), body), *(((name,), body.get(name)) for name in SECTIONS))
        if isinstance(holder, Mapping)
        for key in KEYS
        if _is_limit(holder.get(key))
    ]
    return found[0] if len(found) == 1 else None


def _place_of_option(family: Family, config: Config) -> tuple[str, ...] | None:
    places = options_by_place(family, config.request, bare_model_id(config.model.id))
    place = next((p for p, option in places.items() if option == "request.max_tokens"), None)
    return None if place is None else tuple(place.split(".")[1:])


def _is_limit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
