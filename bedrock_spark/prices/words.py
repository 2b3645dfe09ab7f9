"""The prices of a run in words for people, and as report.json holds them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bedrock_spark.config import TokenPrices
from bedrock_spark.prices.place_prices import PlacePrices
from bedrock_spark.prices.run_prices import PER_TOKENS, RunPrices, plain

_THOUSANDS = 1_000
NONE = "none: the cost is not shown"


def price_rows(prices: RunPrices) -> list[tuple[str, str]]:
    """Return the rows of a table that have the prices, their origin, and what is not known.

    Each name is used once.
    """
    if not prices.unknown and not origins(prices):
        return [("prices", NONE)]
    keys = " and ".join(f"prices.{each.key}" for each in prices.unknown)
    rows = {
        "prices": "; ".join(_amounts(prices)),
        "from": "; ".join([*origins(prices), *prices.notes]),
        "no price": "; ".join(each.fact for each in prices.unknown),
        "to set it": f"{keys}: {PER_TOKENS}" if keys else "",
    }
    return [(name, text) for name, text in rows.items() if text]


def origins(prices: RunPrices) -> list[str]:
    """Return where the prices come from, each source once: the config, and the table's parts."""
    texts = [f"list prices: {origin}" for origin in prices.origins if prices.uses_list]
    return [*texts, *(["the config's own"] if prices.own else [])]


def prices_as_json(prices: RunPrices) -> dict[str, Any]:
    """Return prices as text, which holds them exactly; what is not known is null."""
    parts = {"batch": prices.batch, "fallback": prices.fallback, "flex": prices.flex}
    tokens = {
        name: None if part is None else part.model_dump(mode="json", exclude_none=True)
        for name, part in {**parts, "canary": prices.of_canary}.items()
    }
    targets = [
        {"model_id": model_id, "region": region, "batch": _plain(prices.places[model_id, region])}
        for model_id, region in prices.targets
    ]
    single = {"image": prices.image, "model_unit_hour": prices.model_unit_hour}
    return {
        "unit": "dollars per 1,000 tokens, image, or model unit and hour",
        **tokens,
        "targets": targets,
        **{name: None if price is None else plain(price) for name, price in single.items()},
        "from": origins(prices),
        "unknown": [str(text) for text in prices.unknown],
        "notes": list(prices.notes),
    }


def _plain(place: PlacePrices) -> dict[str, Any] | None:
    return None if place.batch is None else place.batch.model_dump(mode="json", exclude_none=True)


def per_million(prices: TokenPrices) -> str:
    """Return `$0.03 in, $0.12 out`: dollars per million tokens."""
    return f"{_dollars(prices.input)} in, {_dollars(prices.output)} out"


def _dollars(per_thousand: Decimal) -> str:
    return f"${plain(per_thousand * _THOUSANDS)}"


def _amounts(prices: RunPrices) -> list[str]:
    of_targets = [prices.places[target].batch for target in prices.targets]
    is_same = all(price == prices.batch for price in of_targets)
    named = {"batch" if is_same else "batch at most": prices.batch, "fallback": prices.fallback}
    if prices.has_flex:
        named["flex"] = prices.flex
    if prices.batch is None:  # else the canary's price follows from that of batch, or is not news
        named["canary"] = prices.canary
    amounts = [f"{name} {per_million(part)}" for name, part in named.items() if part is not None]
    if amounts:
        amounts[-1] += " per million tokens"
    if prices.image is not None:
        amounts.append(f"${plain(prices.image)} an image")
    if prices.model_unit_hour is not None:
        amounts.append(f"${plain(prices.model_unit_hour)} a model unit and hour")
    return amounts
