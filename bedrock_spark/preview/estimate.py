"""Estimate what the calls of a preview cost at most, before one is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from msgspec import structs

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.costs.call_bound import CallBound, bound_of, doubts_in_words
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.invoke.token_counts import count_tokens
from bedrock_spark.preview.values import Estimate
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.words import per_million
from bedrock_spark.progress import Observer, ignore_progress


def bounds_of(
    config: Config,
    aws: AwsSettings,
    prices: RunPrices,
    bodies: Sequence[bytes],
    observe: Observer = ignore_progress,
    *,
    asks_service: bool = True,
) -> list[CallBound]:
    """Return what each body uses at most: its input as the service counts it, else a bound.

    asks_service: whether the service is asked at all
    """
    family, counts = family_of(config), None
    model_id = config.canary.model_id or config.model.id
    if asks_service:
        counts = count_tokens(aws, bare_model_id(config.model.id), family, bodies, observe)
    return [
        bound_of(
            json.loads(body),
            family,
            prices.of_canary,
            counted,
            listed_image=None if "image" in prices.own else model_id,
            long_input=_long_input(config, prices),
        )
        for body, counted in zip(bodies, counts or [None] * len(bodies), strict=True)
    ]


def _long_input(config: Config, prices: RunPrices) -> int | None:
    """Return above how many input tokens a call costs more than its prices say."""
    model_id = config.canary.model_id or config.model.id
    known = [m.long_input for m in prices.models if m.model_id == model_id and m.long_input]
    return min(known, default=None)


def most_of(prices: RunPrices, bound: CallBound) -> Decimal | None:
    """Return the dollars of one call; None without a price.

    If nothing limits the answer, these are the dollars of the input alone.
    """
    return bound.cost(prices.of_canary, prices.image)


def estimate(config: Config, prices: RunPrices, bounds: Sequence[CallBound]) -> Estimate:
    """Return what all calls cost: with answers of one token, and with the longest ones."""
    output = int(_answers_text(config))
    least = [_with_output(bound, output) for bound in bounds]
    low = [most_of(prices, bound) or Decimal() for bound in least]
    high = [most_of(prices, bound) or Decimal() for bound in bounds]
    is_bounded = all(bound.has_limit for bound in bounds)
    price = prices.of_canary
    return Estimate(
        rows=len(bounds),
        input_tokens=sum(bound.usage.input for bound in bounds),
        low=sum(low, Decimal()),
        high=sum(high, Decimal()) if is_bounded else None,
        doubts=doubts_in_words(bounds),
        price=None if price is None else f"{per_million(price)} per million tokens",
    )


def _with_output(bound: CallBound, output: int) -> CallBound:
    """Return a bound for an answer of this many tokens."""
    return replace(bound, usage=structs.replace(bound.usage, output=output))


def _answers_text(config: Config) -> bool:
    family = family_of(config)
    return not family.answers_images and family.read_chunk is not None
