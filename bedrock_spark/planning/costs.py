"""The money of a plan: the run as it is configured, and each way of asking beside the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.planning.values import Count, Money, Way
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.run_prices import highest_tier, plain
from bedrock_spark.prices.words import per_million

# The tiers of the price table, and the names of the ways here.
_WAYS = {"batch": "batch", "flex": "flex", "standard": "on demand", "priority": "priority"}


@dataclass(frozen=True)
class Usage:
    """What all records use, each asked once.

    online: the share of the input's bytes, and of the records, that a batch job cannot take
    tries: the records of the canary, which are asked twice
    """

    records: int
    input: Count
    output: Count
    images: int
    online_bytes: float = 0.0
    online_records: int = 0
    tries: int = 0


def cost_of_run(usage: Usage, prices: RunPrices) -> Money | None:
    """Return what the run costs as it is configured, or None if a price is not known."""
    needed = [prices.batch] if usage.online_records < usage.records else []
    needed += [prices.fallback] if usage.online_records else []
    needed += [prices.of_canary] if usage.tries else []
    if any(price is None for price in needed) and prices.image is None:
        return None

    def cost(tokens: Tokens) -> Decimal:
        records = max(1, usage.records)
        online = _part(tokens, usage.online_bytes, usage.online_records / records)
        tries = _part(tokens, usage.tries / records, usage.tries / records)
        return (
            (tokens - online).cost(prices.batch, prices.image)
            + online.cost(prices.fallback, prices.image)
            + tries.cost(prices.of_canary, prices.image)
        )

    return _money(usage, cost)


def ways_of(usage: Usage, prices: RunPrices, model_ids: Iterable[str]) -> Iterator[Way]:
    """Yield what the records cost in every way that has a price.

    model_ids: of the targets; the highest price of them counts
    """
    wanted = set(model_ids)
    models = [each for each in prices.models if each.model_id in wanted]
    own = {"batch": prices.batch, "standard": prices.of_canary}
    for tier, way in _WAYS.items():
        price = own.get(tier) or highest_tier(models, tier)
        if price is not None:
            text = f"{per_million(price)} per million tokens"
            yield Way(way=way, price=text, cost=_money(usage, _at(price, prices)))
    if prices.image is not None and usage.images:
        text = f"${plain(prices.image)} an image"
        yield Way(way="images", price=text, cost=_money(usage, _at(None, prices)))


def _at(price: TokenPrices | None, prices: RunPrices) -> Callable[[Tokens], Decimal]:
    return lambda tokens: tokens.cost(price, prices.image)


def _money(usage: Usage, cost: Callable[[Tokens], Decimal]) -> Money:
    """Return the cost at both ends of the intervals of tokens, and in their middle."""
    i, o, images = usage.input, usage.output, usage.images
    likely = None if i.likely is None or o.likely is None else Tokens(i.likely, o.likely, images)
    high = None if i.high is None or o.high is None else Tokens(i.high, o.high, images)
    return Money(
        low=cost(Tokens(i.low, o.low, images)),
        likely=None if likely is None else cost(likely),
        high=None if high is None else cost(high),
    )


def _part(tokens: Tokens, of_input: float, of_output: float) -> Tokens:
    return Tokens(
        round(tokens.input * of_input),
        round(tokens.output * of_output),
        round(tokens.images * of_output),
    )
