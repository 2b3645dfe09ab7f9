"""The prices of tokens, images and model units: the user's own, and where the others come from."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from bedrock_spark.config.base import Section


class TokenPrices(Section):
    """Dollars per 1,000 tokens.

    cache_read, cache_write: of input tokens that were read from a prompt cache, or written into it;
        None: they count as `input`
    """

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_read: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)


class PricesConfig(Section):
    """The user's own prices. What is not here comes from the price table if `source` is auto.

    fallback: of the fallback's calls; flex: of those that the flex tier answered
    earlier: of the calls of models that `fallback.model_id` has named before, by model id
    image: dollars per image, of every kind of call; model_unit_hour: dollars per unit and hour
    """

    shorthand = "source"

    source: Literal["auto", "none"] = "auto"
    batch: TokenPrices | None = None
    fallback: TokenPrices | None = None
    flex: TokenPrices | None = None
    earlier: dict[str, TokenPrices] = Field(default={})
    image: Decimal | None = Field(default=None, ge=0)
    model_unit_hour: Decimal | None = Field(default=None, ge=0)
