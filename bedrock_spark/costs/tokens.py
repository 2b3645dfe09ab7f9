"""The cost of tokens, images and model units, and an estimate of what records need.

Sums are exact decimals. They are rounded only when they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from bedrock_spark.config import RequestConfig, TokenPrices
from bedrock_spark.families.ceilings import KEYS

S = TypeVar("S")

# Prices are in dollars per 1,000 tokens.
PRICED_TOKENS = 1_000
# A rule of thumb for the bytes of a shard, including the JSON around the text: English text has
# about four bytes per token, text in many other languages three.
BYTES_PER_TOKEN = 4.0
# The names that image models give to the number of images of one answer.
_IMAGE_COUNTS = frozenset({"numberOfImages", "samples"})
_LIMITS = frozenset(KEYS)


def by_field(combine: Callable[[Any, Any], Any], one: S, other: S) -> S:
    """Combine two dataclasses of a type field by field, such as by `operator.add`."""
    return type(one)(*map(combine, vars(one).values(), vars(other).values()))


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Numbers of input tokens, output tokens and images of answers.

    cache_read, cache_write: the input tokens that a prompt cache gave or took; a part of `input`
    Reasoning tokens are a part of `output`, and cost the same: docs/results.md, "Tokens".
    """

    input: int = 0
    output: int = 0
    images: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        """Return the sum of each number."""
        return Tokens(
            *(self.input + other.input, self.output + other.output, self.images + other.images),
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
        )

    def __sub__(self, other: Tokens) -> Tokens:
        """Return the difference of each number."""
        return Tokens(
            *(self.input - other.input, self.output - other.output, self.images - other.images),
            self.cache_read - other.cache_read,
            self.cache_write - other.cache_write,
        )

    def cost(self, prices: TokenPrices | None, per_image: Decimal | None = None) -> Decimal:
        """Return the cost in dollars: tokens x price per 1,000 / 1,000, and images x price.

        What has no price costs nothing. Tokens of a cache without a price cost as other input.
        """
        cost = self.images * (per_image or Decimal())
        if prices is not None:
            tokens = self.input * prices.input + self.output * prices.output
            if prices.cache_read is not None:
                tokens += self.cache_read * (prices.cache_read - prices.input)
            if prices.cache_write is not None:
                tokens += self.cache_write * (prices.cache_write - prices.input)
            cost += tokens / PRICED_TOKENS
        return cost


_NONE = Tokens()


def total(tokens: Iterable[Tokens], first: Tokens = _NONE) -> Tokens:
    """Return the sum of all tokens, and of those that are counted first."""
    return sum(tokens, first)


def dollars(amount: Decimal) -> str:
    """Format an amount for people: two decimals, or four if it is below one dollar."""
    places = Decimal("0.01") if amount >= 1 else Decimal("0.0001")
    return f"${amount.quantize(places):,}"


def small_dollars(amount: Decimal) -> str:
    """Format an amount as `dollars` does, but two digits of one below a hundredth of a cent."""
    if amount >= Decimal("0.0001") or not amount:
        return dollars(amount)
    return f"${amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1)):f}"


def paid_words(amount: Decimal, unknown: int) -> str:
    """Return what calls have cost: `$0.0123`, or `$0.0123 and 2 calls of unknown price`.

    amount: dollars of the calls whose cost is known; unknown: the number of the others
    """
    if not unknown:
        return small_dollars(amount)
    others = f"{unknown:,} {'call' if unknown == 1 else 'calls'} of unknown price"
    return f"{small_dollars(amount)} and {others}" if amount else others


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
    images_per_record: images of one answer; 0 if the model makes none, or images have no price
    """

    input_per_byte: float
    output_per_record: float | None
    how: str
    images_per_record: int = 0

    def tokens(self, line_bytes: float, records: int) -> Tokens:
        """Return the tokens of `records` records whose lines have `line_bytes` bytes in total."""
        output = records * (self.output_per_record or 0.0)
        return Tokens(
            math.ceil(line_bytes * self.input_per_byte),
            math.ceil(output),
            records * self.images_per_record,
        )


def expect(request: RequestConfig, sample: Sample | None, images: int = 0) -> Expected:
    """Return the expected tokens: measured on a sample, or else by a rule of thumb.

    images: the images of one answer, as far as they have a price

    The rule is 4 bytes per input token, and answers as long as the request allows. Real answers are
    seldom that long. A sample without input tokens or bytes measures nothing.
    """
    if sample is not None and sample.tokens.input and sample.line_bytes:
        return Expected(
            sample.tokens.input / sample.line_bytes,
            sample.tokens.output / sample.records,
            f"measured on the {sample.records} records of the canary",
            images,
        )
    longest = max_answer_tokens(request)
    answers = "answers not counted" if longest is None else f"{longest:,} tokens an answer at most"
    how = f"{BYTES_PER_TOKEN:g} bytes a token, {answers}"
    return Expected(1 / BYTES_PER_TOKEN, longest, how, images)


def max_answer_tokens(request: RequestConfig) -> int | None:
    """Return the most tokens that an answer may have; None if the request sets no limit."""
    if request.max_tokens is not None:
        return request.max_tokens
    return max(_numbers_in(request.body, _LIMITS), default=None)


def images_per_answer(request: RequestConfig) -> int:
    """Return how many images a request asks for: 1 if its body names no number."""
    return max(_numbers_in(request.body, _IMAGE_COUNTS), default=1)


def _numbers_in(value: Any, names: frozenset[str]) -> Iterable[int]:
    """Yield every integer under one of the names in a body, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in names and isinstance(item, int) and not isinstance(item, bool):
                yield item
            else:
                yield from _numbers_in(item, names)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _numbers_in(item, names)
