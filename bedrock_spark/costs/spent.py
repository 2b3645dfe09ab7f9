"""The cost of a run in its parts: batch jobs, fallback, canary and model units."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.fallback_paid import FallbackPaid
from bedrock_spark.costs.paid import Paid
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
    batch: Paid,
    fallback: FallbackPaid,
    canary: Paid,
    unit_hours: int = 0,
) -> Spent:
    """Return the cost of batch jobs, fallback and canary, and of model units x hours."""
    per_image, per_hour = prices.image, prices.model_unit_hour

    def known(paid: Paid, token_prices: TokenPrices | None) -> Decimal | None:
        has_price = token_prices is not None or per_image is not None
        return paid.dollars if has_price or paid.dollars else None

    return Spent(
        batch=known(batch, prices.batch),
        fallback=fallback.dollars,
        canary=known(canary, prices.of_canary),
        model_units=unit_hours * per_hour if per_hour is not None else None,
    )
