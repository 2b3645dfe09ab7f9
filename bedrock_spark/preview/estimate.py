"""Estimate what the calls of a preview cost at most, before one is made."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import Tokens, images_per_answer, max_answer_tokens
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.families.lint_rules import CACHE_KEYS
from bedrock_spark.invoke.token_counts import count_tokens
from bedrock_spark.planning.tokens import LEAST_BYTES_PER_TOKEN
from bedrock_spark.preview.values import Estimate
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.words import per_million
from bedrock_spark.progress import Observer, ignore_progress


def input_tokens_of(
    config: Config,
    aws: AwsSettings,
    bodies: Sequence[bytes],
    observe: Observer = ignore_progress,
    *,
    asks_service: bool = True,
) -> list[int]:
    """Return the input tokens of each body: as the service counts them, else an upper bound.

    asks_service: whether the service is asked at all
    """
    bounds = [math.ceil(len(body) / LEAST_BYTES_PER_TOKEN) for body in bodies]
    if not asks_service:
        return bounds
    model_id = bare_model_id(config.model.id)
    counts = count_tokens(aws, model_id, family_of(config), bodies, observe)
    if counts is None:
        return bounds
    return [bound if n is None else n for n, bound in zip(counts, bounds, strict=True)]


def most_of(config: Config, prices: RunPrices, tokens: int, output: int | None) -> Decimal | None:
    """Return the dollars of one call with this input and output; None without a price."""
    if prices.of_canary is None and prices.image is None:
        return None
    images = images_per_answer(config.request) if family_of(config).answers_images else 0
    usage = Tokens(tokens, output or 0, images)
    most = usage.cost(prices.of_canary, prices.image)
    if not _may_fill_cache(config):
        return most
    filling = replace(usage, cache_write=tokens)
    return max(most, filling.cost(prices.of_canary, prices.image))


def _may_fill_cache(config: Config) -> bool:
    """Tell whether bodies may ask for prompt caching: what is written there may cost more."""
    if config.request.body_column is not None:
        return True
    body = json.dumps(config.request.body, default=str)
    return any(f'"{key}"' in body for key in CACHE_KEYS)


def estimate(config: Config, prices: RunPrices, tokens: Sequence[int]) -> Estimate:
    """Return what all calls cost: with answers of one token, and with the longest ones."""
    longest, is_text = max_answer_tokens(config.request), _answers_text(config)
    is_bounded = longest is not None or not is_text
    low = [most_of(config, prices, n, int(is_text)) for n in tokens]
    high = [most_of(config, prices, n, longest) for n in tokens]
    price = prices.of_canary
    return Estimate(
        rows=len(tokens),
        input_tokens=sum(tokens),
        low=sum((x or Decimal() for x in low), Decimal()),
        high=sum((x or Decimal() for x in high), Decimal()) if is_bounded else None,
        price=None if price is None else f"{per_million(price)} per million tokens",
    )


def _answers_text(config: Config) -> bool:
    family = family_of(config)
    return not family.answers_images and family.read_chunk is not None
