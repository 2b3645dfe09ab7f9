"""What one call can use at most, before it is made; or about, if nothing is known that bounds it.

A bound is strict for a body of plain text. The tokenizers of all models here fall back to bytes: a
token stands for at least one byte of text. So a body has fewer tokens than bytes: its JSON around
the text is longer than the marks that the model's template puts there. The answer, with its
thinking, has at most the tokens of the body's limit. A count by the service (CountTokens) is the
number that is billed: Amazon Bedrock user guide, "Count tokens".

Nothing bounds what a model adds to a body with tools or with a schema for the answer, how many
tokens it takes for an image or a document, or what is in a file in S3. So a body is taken for plain
text only if every one of its keys is known to hold nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from bedrock_spark.config import RequestConfig, TokenPrices
from bedrock_spark.costs.tokens import Tokens, images_per_answer, max_answer_tokens
from bedrock_spark.families.base import Family
from bedrock_spark.families.ceilings import KEYS
from bedrock_spark.families.lint_rules import CACHE_KEYS
from bedrock_spark.prices.image_prices import more_than_listed

# Tokens of a template that belong to no part of a body, such as the mark of the beginning.
_TEMPLATE_TOKENS = 32
# What is assumed of a body that nothing bounds: two bytes of JSON a token, as a plan assumes, and
# the tokens of a large image. Some models take almost as many for one.
_BYTES_PER_TOKEN, _IMAGE_TOKENS = 2.0, 5_000
_SEVERAL_ANSWERS = ("n", "num_generations")
_OF_CACHE = frozenset({*CACHE_KEYS, "ttl"})
_TEXT_KEYS = frozenset(
    {
        *KEYS,
        *_SEVERAL_ANSWERS,
        *("messages", "role", "content", "text", "type", "system", "prompt", "anthropic_version"),
        *("inferenceConfig", "textGenerationConfig", "inputText", "schemaVersion"),
        *("message", "chat_history", "preamble", "texts", "input_type", "embedding_types"),
        *("temperature", "top_p", "top_k", "topP", "topK", "p", "k", "seed", "min_p"),
        *("stop", "stop_sequences", "stopSequences", "frequency_penalty", "presence_penalty"),
        *("dimensions", "normalize", "embeddingTypes", "truncate", "output_dimension"),
        *("thinking", "budget_tokens", "effort", "reasoning_effort", "display"),
        *("additionalModelRequestFields", "reasoningConfig", "maxReasoningEffort"),
        "output_config",
    }
)
# Families whose bodies have the keys above. The body of any other may name anything.
_NO_KNOWN_BODY = "raw"
_S3_URI = "s3://"
# A PDF in base64, and the members of a body that hold other media.
_PDF, _NO_IMAGES = "JVBERi", frozenset({"document", "video", "audio"})


@dataclass(frozen=True)
class CallBound:
    """What a call uses.

    usage: the tokens and images, at most
    has_limit: whether the body limits the tokens of the answer
    doubts: why the call may use more than that, in words; () if `usage` is a strict bound
    fills_cache: whether the call may write all of its input into a prompt cache
    """

    usage: Tokens
    has_limit: bool = True
    doubts: tuple[str, ...] = ()
    fills_cache: bool = False

    @property
    def is_strict(self) -> bool:
        """Tell whether the call can use no more."""
        return self.has_limit and not self.doubts

    def cost(self, prices: TokenPrices | None, per_image: Decimal | None) -> Decimal | None:
        """Return the dollars of `usage`; None if nothing has a price."""
        if prices is None and per_image is None:
            return None
        most = self.usage.cost(prices, per_image)
        if not self.fills_cache:
            return most
        filling = replace(self.usage, cache_write=self.usage.input)
        return max(most, filling.cost(prices, per_image))


def bound_of(
    body: Mapping[str, Any],
    family: Family,
    prices: TokenPrices | None,
    counted: int | None = None,
    *,
    listed_image: str | None = "",
    long_input: int | None = None,
) -> CallBound:
    """Return what a call with this body uses at most.

    prices: of the call; a body with cache points needs the price of writing into the cache
    counted: the input tokens of the body as the service counts them; None if it did not
    listed_image: the model whose list price an image has, "" if it is not known; None if the price
        is the user's own, which is the highest one
    long_input: a call with more input tokens costs more than `prices` say; None if none does
    """
    request = RequestConfig(body=dict(body))
    if family.answers_images:
        of_image = () if listed_image is None else tuple(_image_doubts(body, family, listed_image))
        return CallBound(Tokens(images=images_per_answer(request)), doubts=of_image)
    found = [*_members(body)]
    keys = {key for _, key, _ in found}
    doubts = [] if counted is not None else [*_input_doubts(found)]
    doubts += _cache_doubts(found, prices)
    size = len(json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass"))
    if counted is None:
        is_text = not doubts or not (keys - _TEXT_KEYS - _OF_CACHE)
        counted = size + _TEMPLATE_TOKENS if is_text else _about(found, size)
    if long_input is not None and counted > long_input:
        doubts.append(f"tokens of a call with more than {long_input:,} input tokens cost more")
    is_raw = family.name == _NO_KNOWN_BODY
    if is_raw:
        doubts.append("the family of the model is not known")
    answers_text = is_raw or family.read_chunk is not None
    longest = max_answer_tokens(request) if answers_text else 0
    several = max((n for _, k, n in found if k in _SEVERAL_ANSWERS and _is_count(n)), default=1)
    return CallBound(
        Tokens(counted, (longest or 0) * several),
        longest is not None,
        tuple(doubts),
        fills_cache=bool(keys & set(CACHE_KEYS)),
    )


def doubts_in_words(bounds: Iterable[CallBound]) -> str:
    """Return why some calls may cost more than they were expected to, each reason once."""
    return "; ".join(dict.fromkeys(doubt for bound in bounds for doubt in bound.doubts))


def _members(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yield every member of a body, at any depth: the keys that lead to it, its key, its value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield path, str(key), item
            yield from _members(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _members(item, path)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _input_doubts(found: list[tuple[tuple[str, ...], str, Any]]) -> Iterator[str]:
    """Yield why the bytes of a body do not bound its input tokens."""
    known = _TEXT_KEYS | _OF_CACHE
    # What is inside of such a member is a part of it.
    outermost = (key for path, key, _ in found if key not in known and known.issuperset(path))
    unknown = list(dict.fromkeys(outermost))
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        yield f"nothing bounds the tokens of {', '.join(unknown[:3])}{more}"
    if any(_is_in_s3(item) for _, _, item in found):
        yield "the size of what is in S3 is not known"


def _cache_doubts(
    found: list[tuple[tuple[str, ...], str, Any]], prices: TokenPrices | None
) -> Iterator[str]:
    """Yield why writing into a prompt cache may cost more than is counted."""
    if not any(key in CACHE_KEYS for _, key, _ in found):
        return
    if prices is not None and prices.cache_write is None:
        yield "the price of writing into the cache is not known"
    if any(key == "ttl" and item != "5m" for _, key, item in found):
        yield "writing into the cache for an hour costs more than is counted"


def _image_doubts(body: Mapping[str, Any], family: Family, model_id: str) -> Iterator[str]:
    """Yield why an image may cost more than the list price of its model."""
    why = more_than_listed(model_id, body) if family.name == "amazon_images" else None
    if why is not None:
        yield why


def _is_in_s3(item: Any) -> bool:
    return isinstance(item, str) and item.startswith(_S3_URI)


def _about(found: list[tuple[tuple[str, ...], str, Any]], size: int) -> int:
    """Return about how many tokens a body with media has: images do not cost by their bytes."""
    images = [len(item) for path, key, item in found if _is_image(path, key, item)]
    return math.ceil((size - sum(images)) / _BYTES_PER_TOKEN) + len(images) * _IMAGE_TOKENS


def _is_image(path: tuple[str, ...], key: str, item: Any) -> bool:
    """Tell whether a value is an image: base64, a data URI, or the place of one in S3."""
    if not isinstance(item, str):
        return False
    is_data = key in ("bytes", "data") or item.startswith("data:")
    names = {each.lower() for each in (*path, key)}
    if _is_in_s3(item):
        return any("image" in name for name in names)
    return is_data and not item.startswith(_PDF) and not names & _NO_IMAGES
