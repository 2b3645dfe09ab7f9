"""The cost of tokens, and an estimate of how many tokens records need.

Prices are those of the config; nothing looks them up. Sums are exact decimals. They are rounded
only when they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedrock_spark.config import PricesConfig, RequestConfig, TokenPrices

# Prices are in dollars per 1,000 tokens.
PRICED_TOKENS = 1_000
# A rule of thumb for the bytes of a shard, including the JSON around the text: English text has
# about four bytes per token, text in many other languages three.
BYTES_PER_TOKEN = 4.0
# A call on demand costs twice as much as in a batch job: https://aws.amazon.com/bedrock/pricing/
ON_DEMAND_FACTOR = 2
# The names that model families give to the limit of an answer's tokens in their bodies.
_LIMITS = frozenset(
    {
        *("max_tokens", "max_completion_tokens", "max_gen_len", "max_new_tokens"),
        *("maxTokens", "maxTokenCount", "max_tokens_to_sample"),
    }
)


@dataclass(frozen=True)
class Tokens:
    """Numbers of input and output tokens."""

    input: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        """Return the sum, of input and of output."""
        return Tokens(self.input + other.input, self.output + other.output)

    def cost(self, prices: TokenPrices) -> Decimal:
        """Return the cost in dollars: tokens x price per 1,000 / 1,000."""
        return (self.input * prices.input + self.output * prices.output) / PRICED_TOKENS


def total(tokens: Iterable[Tokens]) -> Tokens:
    """Return the sum of all tokens."""
    return sum(tokens, Tokens())


@dataclass(frozen=True)
class Spent:
    """Dollars spent in batch jobs, in the fallback and in the canary. None without a price."""

    batch: Decimal | None = None
    fallback: Decimal | None = None
    canary: Decimal | None = None

    @property
    def total(self) -> Decimal:
        """Return the sum of the parts that have a price."""
        return sum((part or Decimal() for part in self.parts().values()), Decimal())

    def parts(self) -> dict[str, Decimal | None]:
        """Return the parts by name."""
        return {"batch": self.batch, "fallback": self.fallback, "canary": self.canary}


def spent(prices: PricesConfig, batch: Tokens, fallback: Tokens, canary: Tokens) -> Spent:
    """Return the cost of the tokens of batch jobs, fallback and canary.

    The canary makes single calls: they cost twice the price of batch.
    """
    batch_prices = prices.batch
    return Spent(
        batch=batch.cost(batch_prices) if batch_prices else None,
        fallback=fallback.cost(prices.fallback) if prices.fallback else None,
        canary=canary.cost(batch_prices) * ON_DEMAND_FACTOR if batch_prices else None,
    )


def dollars(amount: Decimal) -> str:
    """Format an amount for people: two decimals, or four if it is below one dollar."""
    places = Decimal("0.01") if amount >= 1 else Decimal("0.0001")
    return f"${amount.quantize(places):,}"


@dataclass(frozen=True)
class Sample:
    """Records that were answered: their number, the bytes of their lines, and their tokens."""

    records: int
    line_bytes: int
    tokens: Tokens


@dataclass(frozen=True)
class Expected:
    """The expected tokens of records.

    input_per_byte: input tokens per byte of a record's line
    output_per_record: output tokens; None if nothing limits an answer, which then counts as 0
    how: how the numbers were found, in words
    """

    input_per_byte: float
    output_per_record: float | None
    how: str

    def tokens(self, line_bytes: float, records: int) -> Tokens:
        """Return the tokens of `records` records whose lines have `line_bytes` bytes in total."""
        output = records * (self.output_per_record or 0.0)
        return Tokens(math.ceil(line_bytes * self.input_per_byte), math.ceil(output))


def expect(request: RequestConfig, sample: Sample | None) -> Expected:
    """Return the expected tokens: measured on a sample, or else by a rule of thumb.

    The rule is 4 bytes per input token, and answers as long as the request allows. Real answers are
    seldom that long. A sample without input tokens or bytes measures nothing.
    """
    if sample is not None and sample.tokens.input and sample.line_bytes:
        return Expected(
            sample.tokens.input / sample.line_bytes,
            sample.tokens.output / sample.records,
            f"measured on the {sample.records} records of the canary",
        )
    longest = max_answer_tokens(request)
    answers = "answers not counted" if longest is None else f"{longest:,} tokens an answer at most"
    return Expected(1 / BYTES_PER_TOKEN, longest, f"{BYTES_PER_TOKEN:g} bytes a token, {answers}")


def max_answer_tokens(request: RequestConfig) -> int | None:
    """Return the most tokens that an answer may have; None if the request sets no limit."""
    if request.max_tokens is not None:
        return request.max_tokens
    return max(_limits_in(request.body), default=None)


def _limits_in(value: Any) -> Iterable[int]:
    """Yield every limit of an answer's tokens in a body, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _LIMITS and isinstance(item, int) and not isinstance(item, bool):
                yield item
            else:
                yield from _limits_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _limits_in(item)
