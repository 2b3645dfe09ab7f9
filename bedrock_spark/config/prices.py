"""The prices of tokens, images and model units, from the user's price list."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from bedrock_spark.config.base import Section


class TokenPrices(Section):
    """Dollars per 1,000 tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class PricesConfig(Section):
    """The prices of batch jobs and of the fallback. What has no price is not counted.

    image: dollars per image, of every kind of call; model_unit_hour: dollars per unit and hour
    """

    batch: TokenPrices | None = None
    fallback: TokenPrices | None = None
    image: Decimal | None = Field(default=None, ge=0)
    model_unit_hour: Decimal | None = Field(default=None, ge=0)
