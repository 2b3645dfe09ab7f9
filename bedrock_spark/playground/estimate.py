"""What a call is expected to cost before it is made, and its prices in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bedrock_spark.config import RequestConfig
from bedrock_spark.costs.tokens import (
    BYTES_PER_TOKEN,
    Tokens,
    images_per_answer,
    max_answer_tokens,
    small_dollars,
)
from bedrock_spark.families import Family
from bedrock_spark.planning.tokens import LEAST_BYTES_PER_TOKEN
from bedrock_spark.playground.attached import Files, references_in
from bedrock_spark.playground.prices import CallPrice
from bedrock_spark.prices.run_prices import plain
from bedrock_spark.prices.words import per_million


@dataclass(frozen=True)
class CostBefore:
    """Dollars of calls before they are made. None: not known, or without a limit.

    least: with answers of one token; most: with the longest answers that the requests allow
    is_by_hour: whether the calls add nothing, because the throughput is paid for by the hour
    unknown: what is not in the sums, in words; None if nothing is missing
    """

    least: Decimal | None
    most: Decimal | None
    is_by_hour: bool = False
    unknown: str | None = None

    def __add__(self, other: CostBefore) -> CostBefore:
        """Return the cost of all calls of both."""
        return CostBefore(
            _added(self.least, other.least),
            _added(self.most, other.most),
            self.is_by_hour and other.is_by_hour,
            self.unknown or other.unknown,
        )

    @property
    def words(self) -> str:
        """Return the cost for the line at a button: `$0.00002 to $0.0012`."""
        if self.is_by_hour:
            return "adds nothing to the hours of the throughput"
        if self.least is None:
            return "its price is not known"
        if self.unknown is not None:
            return f"at least {small_dollars(self.least)}, without {self.unknown}"
        if self.most is None:
            return f"at least {small_dollars(self.least)}; no limit is set for the answer"
        if self.most == self.least:
            return small_dollars(self.most)
        return f"{small_dollars(self.least)} to {small_dollars(self.most)}"


def _added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def cost_before(
    price: CallPrice, body: Mapping[str, Any], family: Family, files: Files = MappingProxyType({})
) -> CostBefore:
    """Return what a call with this body is expected to cost.

    files: those that the body names
    The input is counted by the bytes of the body: at four bytes a token, and at most at two. How
    many tokens a document has is not known.
    """
    if price.is_by_hour:
        return CostBefore(Decimal(), Decimal(), is_by_hour=True)
    request = RequestConfig(body=dict(body))
    if family.answers_images:
        images = Tokens(images=images_per_answer(request)).cost(None, price.image)
        known = None if price.image is None else images
        return CostBefore(known, known)
    if price.tokens is None:
        return CostBefore(None, None)
    is_text = family.read_chunk is not None
    size = len(json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass"))
    named = [files[name] for name in references_in(body)]
    pixels = [(f.width or 0) * (f.height or 0) for f in named if f.is_image]
    small = sum(min(_FLAT, each / _PIXELS_PER_TOKEN) for each in pixels)
    large = sum(max(_ENLARGED, each / _LEAST_PIXELS_PER_TOKEN) for each in pixels)
    least = Tokens(math.ceil(size / BYTES_PER_TOKEN + small), int(is_text))
    longest = max_answer_tokens(request) if is_text else 0
    most = Tokens(math.ceil(size / LEAST_BYTES_PER_TOKEN + large), longest or 0)
    uncounted = sum(not f.is_image or not f.width for f in named)
    files_words = "its file" if uncounted == 1 else f"{uncounted} files"
    return CostBefore(
        least.cost(price.tokens),
        None if longest is None else most.cost(price.tokens),
        unknown=f"{files_words}, whose tokens are not known before" if uncounted else None,
    )


# The tokens of a picture. Claude's documentation, "Vision": one for 750 pixels. Amazon Nova user
# guide, "Image understanding": one for 500 to 700 pixels, and a small picture is enlarged to one
# that has about 1,300. Nova 2 user guide, "Multimodal understanding": 230 for any picture.
_PIXELS_PER_TOKEN, _LEAST_PIXELS_PER_TOKEN, _ENLARGED, _FLAT = 750, 500, 1_300, 230


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
