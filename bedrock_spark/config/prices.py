"""The prices of tokens, from the user's price list."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from bedrock_spark.config.base import Section


class TokenPrices(Section):
    """Dollars per 1,000 tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class PricesConfig(Section):
    """The prices of batch jobs and of the fallback. Tokens without a price are not counted."""

    batch: TokenPrices | None = None
    fallback: TokenPrices | None = None
