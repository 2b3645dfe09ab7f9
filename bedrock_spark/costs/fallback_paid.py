"""What the answers of the fallback cost: each by its own model, at the tier of its call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.costs.tokens import Expected, Tokens, total
from bedrock_spark.errors import ConfigError
from bedrock_spark.prices import CallPrices, RunPrices
from bedrock_spark.prices.call_prices import FLEX
from bedrock_spark.prices.run_prices import PER_TOKENS
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse, UseByModel

# The counts of a ModelUse that cost something. Reasoning is a part of the output.
_COUNTED = Tokens.__struct_fields__


@dataclass(frozen=True)
class PaidUse:
    """What the answers of one model at one tier cost.

    tokens: with an estimate for answers that tell neither tokens nor images
    cost: dollars; None if the price is not known; 0 if they are paid by the hour
    """

    use: ModelUse
    tokens: Tokens
    cost: Decimal | None


@dataclass(frozen=True)
class FallbackPaid:
    """What all answers of the fallback cost.

    has_price: whether the fallback model of the config has a price
    """

    parts: tuple[PaidUse, ...] = ()
    has_price: bool = False

    @property
    def tokens(self) -> Tokens:
        """Return the tokens and images of all answers."""
        return total(part.tokens for part in self.parts)

    @property
    def dollars(self) -> Decimal | None:
        """Return the dollars that are known; None if no price is known."""
        known = [part.cost for part in self.parts if part.cost is not None]
        return sum(known, Decimal()) if known or self.has_price else None

    @property
    def unpriced(self) -> tuple[ModelUse, ...]:
        """Return the models and tiers whose price is not known."""
        return tuple(part.use for part in self.parts if part.cost is None)


def fallback_paid(
    uses: Iterable[Iterable[ModelUse]], prices: RunPrices, expected: Expected, manifest: RunManifest
) -> FallbackPaid:
    """Return what the fallback has cost.

    uses: `fallback_models` of every collected shard
    """
    sums = UseByModel()
    for each in uses:
        sums.add_all(each)
    mean_bytes = sum(s.bytes for s in manifest.shards) / max(1, manifest.records)
    parts = []
    for use in sums.uses():
        counts = {name: use.tokens[name] for name in _COUNTED if name in use.tokens}
        uncounted = use.tokens.get("uncounted", 0)
        tokens = Tokens(**counts) + expected.tokens(mean_bytes * uncounted, uncounted)
        parts.append(PaidUse(use, tokens, cost_of(tokens, prices.of_call(use.model_id, use.tier))))
    has_price = prices.fallback is not None or prices.image is not None
    return FallbackPaid(tuple(parts), has_price)


def cost_of(tokens: Tokens, prices: CallPrices) -> Decimal | None:
    """Return the dollars of some tokens; None if the price is not known, 0 if paid by the hour."""
    if prices.by_hour:
        return Decimal()
    if prices.tokens is None and prices.image is None:
        return None
    return tokens.cost(prices.tokens, prices.image)


def cost_of_round(prices: RunPrices, tokens: Tokens, flex: Tokens) -> Decimal | None:
    """Return what calls to the fallback model of the config cost; None if a price is not known.

    flex: the part of `tokens` that the flex tier gave
    """
    model_id = prices.fallback_model
    own = prices.of_call(model_id, prices.fallback_tier)
    if own.by_hour and prices.model_unit_hour is None:
        return None
    cost = cost_of(tokens - flex, own)
    of_flex = cost_of(flex, prices.of_call(model_id, FLEX)) if flex != Tokens() else Decimal()
    return None if cost is None or of_flex is None else cost + of_flex


def check_paid(paid: FallbackPaid) -> FallbackPaid:
    """Return what was paid. Raises ConfigError if a price is not known: no budget can hold then."""
    models = sorted({use.model_id or "an unknown model" for use in paid.unpriced})
    if models:
        raise ConfigError(
            f"budget.max_cost_usd needs the price of {', '.join(models)}: the fallback has paid "
            "for answers of it, and the price is not known. Set prices.earlier: "
            f"{{MODEL_ID: {PER_TOKENS}}}"
        )
    return paid
