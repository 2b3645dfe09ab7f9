"""The cost of a run in its parts: batch jobs, fallback, canary and model units."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.fallback_paid import FallbackPaid
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.prices import RunPrices


@dataclass(frozen=True)
class Spent:
    """Dollars spent in batch jobs, fallback, canary and for model units. None without a price."""

    batch: Decimal | None = None
    fallback: Decimal | None = None
    canary: Decimal | None = None
    model_units: Decimal | None = None

    @property
    def total(self) -> Decimal:
        """Return the sum of the parts that have a price."""
        return sum((part or Decimal() for part in self.parts().values()), Decimal())

    def parts(self) -> dict[str, Decimal | None]:
        """Return the parts by name."""
        return {
            "batch": self.batch,
            "fallback": self.fallback,
            "canary": self.canary,
            "model_units": self.model_units,
        }


def spent(
    prices: RunPrices,
    batch: Tokens,
    fallback: FallbackPaid,
    canary: Tokens,
    unit_hours: int = 0,
) -> Spent:
    """Return the cost of batch jobs, fallback and canary, and of model units x hours."""
    per_image, per_hour = prices.image, prices.model_unit_hour

    def cost(tokens: Tokens, token_prices: TokenPrices | None) -> Decimal | None:
        has_price = token_prices is not None or per_image is not None
        return tokens.cost(token_prices, per_image) if has_price else None

    return Spent(
        batch=cost(batch, prices.batch),
        fallback=fallback.dollars,
        canary=cost(canary, prices.of_canary),
        model_units=unit_hours * per_hour if per_hour is not None else None,
    )
