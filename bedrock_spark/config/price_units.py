"""Prices that look like dollars per million tokens, in a config that has them per thousand."""

from __future__ import annotations

from decimal import Decimal

from bedrock_spark.config.prices import PricesConfig

# Dollars per 1,000 tokens. The highest prices on https://aws.amazon.com/bedrock/pricing/ are less
# than a fifth of it: Claude Opus, $15 and $75 per million tokens.
_MOST_INPUT, _MOST_OUTPUT = Decimal("0.1"), Decimal("0.5")


def price_faults(prices: PricesConfig) -> list[str]:
    """Return the token prices that no model on Bedrock has."""
    faults = []
    for use, pair in (
        ("batch", prices.batch),
        ("fallback", prices.fallback),
        ("flex", prices.flex),
        *((f"earlier.{model_id}", pair) for model_id, pair in prices.earlier.items()),
    ):
        if pair is None:
            continue
        for name, price, most in (
            ("input", pair.input, _MOST_INPUT),
            ("output", pair.output, _MOST_OUTPUT),
        ):
            if price > most:
                faults.append(
                    f"prices.{use}.{name} = {price}: is in dollars per 1,000 tokens, so this is "
                    f"${price * 1000:,.0f} per million, which no model costs. If the price list "
                    f"says {price} per million, write {_plain(price / 1000)}. If the price is "
                    "right, set batch.lint: ignore"
                )
    return faults


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
