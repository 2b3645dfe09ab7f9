"""What tokens cost, and how many a run is expected to take.

Prices are the user's; they are never looked up. Sums are exact: they are rounded where a person
reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedrock_spark.config import PricesConfig, RequestConfig, TokenPrices

PRICED_TOKENS = 1_000
# A rule of thumb for a shard's bytes, JSON around the text included: English text has a token in
# about four bytes, many other languages in three.
BYTES_PER_TOKEN = 4.0
# Batch inference costs half of what a single call does: https://aws.amazon.com/bedrock/pricing/
ON_DEMAND_FACTOR = 2
# What families call the longest answer in their bodies.
_LIMITS = frozenset(
    {
        *("max_tokens", "max_completion_tokens", "max_gen_len", "max_new_tokens"),
        *("maxTokens", "maxTokenCount", "max_tokens_to_sample"),
    }
)


@dataclass(frozen=True)
class Tokens:
    """Tokens in and out."""

    input: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        """Add both."""
        return Tokens(self.input + other.input, self.output + other.output)

    def cost(self, prices: TokenPrices) -> Decimal:
        """Return the dollars that they cost."""
        return (self.input * prices.input + self.output * prices.output) / PRICED_TOKENS


def total(tokens: Iterable[Tokens]) -> Tokens:
    """Add up."""
    return sum(tokens, Tokens())


@dataclass(frozen=True)
class Spent:
    """Dollars, by who was asked; None for what has no price."""

    batch: Decimal | None = None
    fallback: Decimal | None = None
    canary: Decimal | None = None

    @property
    def total(self) -> Decimal:
        """Return all of it."""
        return sum((part or Decimal() for part in self.parts().values()), Decimal())

    def parts(self) -> dict[str, Decimal | None]:
        """Return the parts by name."""
        return {"batch": self.batch, "fallback": self.fallback, "canary": self.canary}


def spent(prices: PricesConfig, batch: Tokens, fallback: Tokens, canary: Tokens) -> Spent:
    """Return what these tokens cost. The canary's cost what a single call does: twice batch."""
    once = prices.batch
    return Spent(
        batch=batch.cost(once) if once else None,
        fallback=fallback.cost(prices.fallback) if prices.fallback else None,
        canary=canary.cost(once) * ON_DEMAND_FACTOR if once else None,
    )


def dollars(amount: Decimal) -> str:
    """Return an amount for a person: cents, and of less than a dollar two digits more."""
    places = Decimal("0.01") if amount >= 1 else Decimal("0.0001")
    return f"${amount.quantize(places):,}"


@dataclass(frozen=True)
class Sample:
    """Records that were asked: how many, their bytes in the shards, and the tokens they took."""

    records: int
    line_bytes: int
    tokens: Tokens


@dataclass(frozen=True)
class Expected:
    """The tokens that records are expected to take.

    output_per_record: None where nothing says how long an answer may be; it then counts as none
    how: where the numbers are from, in words
    """

    input_per_byte: float
    output_per_record: float | None
    how: str

    def tokens(self, line_bytes: float, records: int) -> Tokens:
        """Return the tokens of so many records with so many bytes in their shards."""
        output = records * (self.output_per_record or 0.0)
        return Tokens(math.ceil(line_bytes * self.input_per_byte), math.ceil(output))


def expect(request: RequestConfig, sample: Sample | None) -> Expected:
    """Return what records are expected to take: as the sample did, else by a rule of thumb.

    Without a sample the output is as long as the request allows, which it seldom is.
    """
    if sample is not None and sample.tokens.input and sample.line_bytes:
        return Expected(
            sample.tokens.input / sample.line_bytes,
            sample.tokens.output / sample.records,
            f"as the {sample.records} records of the canary took",
        )
    most = longest_answer(request)
    answers = "answers not counted" if most is None else f"{most:,} tokens an answer at most"
    return Expected(1 / BYTES_PER_TOKEN, most, f"{BYTES_PER_TOKEN:g} bytes a token, {answers}")


def longest_answer(request: RequestConfig) -> int | None:
    """Return the tokens that an answer may have, where the request says so."""
    if request.max_tokens is not None:
        return request.max_tokens
    return max(_limits_in(request.body), default=None)


def _limits_in(value: Any) -> Iterable[int]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _LIMITS and isinstance(item, int) and not isinstance(item, bool):
                yield item
            else:
                yield from _limits_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _limits_in(item)
