"""What a call is expected to cost before it is made, and its prices in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bedrock_spark.costs.call_bound import bound_of
from bedrock_spark.costs.tokens import BYTES_PER_TOKEN, Tokens, small_dollars
from bedrock_spark.families import Family
from bedrock_spark.playground.attached import Files, references_in
from bedrock_spark.playground.prices import CallPrice
from bedrock_spark.prices.run_prices import plain
from bedrock_spark.prices.words import per_million


@dataclass(frozen=True)
class CostBefore:
    """Dollars of calls before they are made. None: not known, or without a limit.

    least: with answers of one token; most: with the longest answers that the requests allow
    is_by_hour: whether the calls add nothing, because the throughput is paid for by the hour
    is_bound: whether the calls cost no more than `most`; else that is an estimate
    unknown: what is not in the sums, in words; None if nothing is missing
    """

    least: Decimal | None
    most: Decimal | None
    is_by_hour: bool = False
    is_bound: bool = True
    unknown: str | None = None

    def __add__(self, other: CostBefore) -> CostBefore:
        """Return the cost of all calls of both."""
        return CostBefore(
            _added(self.least, other.least),
            _added(self.most, other.most),
            self.is_by_hour and other.is_by_hour,
            self.is_bound and other.is_bound,
            self.unknown or other.unknown,
        )

    @property
    def words(self) -> str:
        """Return the cost for the line at a button: `$0.00002 to $0.0012`, or `about $0.0012`."""
        if self.is_by_hour:
            return "adds nothing to the hours of the throughput"
        if self.least is None:
            return "its price is not known"
        if self.unknown is not None:
            return f"at least {small_dollars(self.least)}, without {self.unknown}"
        if self.most is None:
            return f"at least {small_dollars(self.least)}; no limit is set for the answer"
        if not self.is_bound:
            return f"about {small_dollars(self.most)}; nothing bounds it"
        if self.most == self.least:
            return small_dollars(self.most)
        return f"{small_dollars(self.least)} to {small_dollars(self.most)}"


def _added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def cost_before(
    price: CallPrice, body: Mapping[str, Any], family: Family, files: Files = MappingProxyType({})
) -> CostBefore:
    """Return what a call with this body is expected to cost.

    files: those that the body names. How many tokens a document has is not known
    The input is counted by the bytes of the body: at four bytes a token, and at most at one.
    """
    if price.is_by_hour:
        return CostBefore(Decimal(), Decimal(), is_by_hour=True)
    bound = bound_of(
        *(body, family, price.tokens),
        listed_image=price.listed_image,
        long_input=price.long_input,
    )
    is_bound = not bound.doubts
    if family.answers_images:
        known = None if price.image is None else bound.usage.cost(None, price.image)
        return CostBefore(known, known, is_bound=is_bound)
    if price.tokens is None:
        return CostBefore(None, None)
    size = len(json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass"))
    least = Tokens(math.ceil(size / BYTES_PER_TOKEN), int(family.read_chunk is not None))
    most = bound.cost(price.tokens, None) if bound.has_limit else None
    documents = sum(not files[name].is_image for name in references_in(body))
    words = "its document" if documents == 1 else f"{documents} documents"
    unknown = f"{words}, whose tokens are not known before" if documents else None
    return CostBefore(least.cost(price.tokens), most, is_bound=is_bound, unknown=unknown)


def price_words(price: CallPrice) -> str:
    """Return the prices of a model as a line for people."""
    if price.is_by_hour:
        return "paid for by the hour; a call adds nothing"
    parts = []
    if price.tokens is not None:
        parts.append(f"{per_million(price.tokens)} per million tokens")
    if price.image is not None:
        parts.append(f"${plain(price.image)} an image")
    return f"{', '.join(parts)} ({price.origin})" if parts else "no price is known"


def cost_words(cost: Decimal | None, price: CallPrice) -> str:
    """Return what a call has cost, for people."""
    if price.is_by_hour:
        return "paid for by the hour"
    return "cost not known" if cost is None else f"cost {small_dollars(cost)}"
