"""Which option of the config each value of a family's body comes from.

A family calls `request.max_tokens` `inferenceConfig.maxTokens`, or `max_gen_len`. A message about
the body must name the key that the user's config has. So the body is built again with another value
of one option, or without it: what differs comes from this option.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.base import Family

_NOTHING = object()
_TEXTS = ("system", "prompt", "aspect_ratio", "negative_prompt")
# Options of certain words only: compared with a request without them.
_WORDS = ("thinking", "input_type", "embedding_types")
_NUMBERS = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed"),
    *("dimensions", "width", "height"),
)


def options_by_place(family: Family, request: RequestConfig, model_id: str) -> dict[str, str]:
    """Return the config's key for each key path of the body that a family builds.

    {"request.inferenceConfig.maxTokens": "request.max_tokens"}; an option that is not set has none

    model_id: without ARN and geography
    """
    body = dict(leaves(family.build(request, model_id), "request"))
    places: dict[str, str] = {}
    for option in (*_NUMBERS, *_TEXTS, "stop", *_WORDS):
        value = getattr(request, option)
        if value is None or value == ():
            continue
        other = _other_value(option, value)
        try:
            changed = family.build(request.model_copy(update={option: other}), model_id)
        except ConfigError:
            continue
        now = dict(leaves(changed, "request"))
        for place in body.keys() | now.keys():
            if body.get(place, _NOTHING) != now.get(place, _NOTHING):
                places[place] = f"request.{option}"
    return places


def _other_value(option: str, value: Any) -> Any:
    if option == "stop":
        return ("_",)
    if option in _WORDS:
        return None
    return value + 1 if option in _NUMBERS else value + "_"


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield every value of a body that is no object and no array, with its key path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from leaves(item, f"{place}[{i}]")
    else:
        yield place, value
