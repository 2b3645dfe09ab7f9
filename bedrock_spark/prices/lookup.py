"""Find the list prices of one model in one Region.

The most exact row wins: the Region's own, then the id as it is, then the id without the end that
names a context or a minor version. If there is none, but rows of the same model for other Regions
or geographies, the highest price of each kind counts: with a price that is too low, a run could
exceed its budget unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from bedrock_spark.config import TokenPrices
from bedrock_spark.families.bare_ids import without_arn, without_geography
from bedrock_spark.prices.table import PriceTable

TIERS = ("standard", "batch", "flex", "priority")
# Without a Region's own row, a plain id has the prices of the Region where most models begin.
_HOME_REGION = "us-east-1"
# GovCloud has prices of its own, a fifth higher. Those of other Regions say nothing about it.
_GOV_REGION, _GOV_GEOGRAPHY = "us-gov-", "us-gov."


class ModelPrices(BaseModel):
    """The list prices of one model in one Region, as they were found once.

    place: the Region or the geography whose prices they are, in words
    source, date: of the table
    tiers: dollars per 1,000 tokens by tier; a tier without a known price is missing
    image: dollars per image; long_input: a call with more input tokens costs more
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_id: str
    region: str | None = None
    place: str | None = None
    source: str
    date: str | None = None
    tiers: dict[str, TokenPrices] = {}
    image: Decimal | None = None
    long_input: int | None = None

    @property
    def is_known(self) -> bool:
        """Tell whether the table has any price of the model."""
        return bool(self.tiers) or self.image is not None

    @property
    def dated_source(self) -> str:
        """Return the table that the prices come from, and its date: `litellm 1.2 of 2026-11-26`."""
        return f"{self.source} of {self.date}" if self.date else self.source


def find_prices(model_id: str, region: str | None, table: PriceTable) -> ModelPrices:
    """Return the prices of a model; without any tier if the table does not have it.

    model_id: an id, with or without geography, or the ARN of a foundation model or a profile
    """
    row, place = _row(without_arn(model_id), region, table.rows)
    return ModelPrices(
        model_id=model_id,
        region=region,
        place=place,
        source=table.source,
        date=table.date,
        tiers={tier: TokenPrices(**row[tier]) for tier in TIERS if tier in row},
        image=row.get("image"),
        long_input=row.get("long_input"),
    )


def _row(
    own: str, region: str | None, rows: Mapping[str, Mapping[str, Any]]
) -> tuple[Mapping[str, Any], str | None]:
    bare = without_geography(own)
    geography = own[: -len(bare) - 1] if own != bare else None
    is_gov = (region or "").startswith(_GOV_REGION) or own.startswith(_GOV_GEOGRAPHY)
    for key in _shorter(own):
        if f"{region}/{key}" in rows:
            return rows[f"{region}/{key}"], region
        if key in rows and (geography or not is_gov):
            return rows[key], geography or _HOME_REGION
    same = [rows[key] for key in rows if _is_same(key, bare, is_gov=is_gov)]
    return _highest(same), _highest_place(len(same))


def _highest_place(rows: int) -> str | None:
    """Return in words that the highest price of `rows` other rows counts; None without any."""
    if not rows:
        return None
    return "another Region's price" if rows == 1 else f"the highest price of {rows} Regions"


def _shorter(model_id: str) -> Iterator[str]:
    """Yield an id, and the id without each of its last parts: `x-v1:0:300k`, `x-v1:0`, `x-v1`."""
    yield model_id
    while ":" in model_id and not model_id.startswith("arn:"):
        model_id = model_id.rsplit(":", 1)[0]
        yield model_id


def _is_same(key: str, bare: str, *, is_gov: bool) -> bool:
    place, _, name = key.rpartition("/")
    is_govs = place.startswith(_GOV_REGION) or name.startswith(_GOV_GEOGRAPHY)
    return without_geography(name) == bare and is_govs == is_gov


def highest_of_each(prices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the highest price of each kind, such as input, that one of the prices has."""
    kinds = {kind for each in prices for kind in each}
    return {k: max((p[k] for p in prices if k in p), key=Decimal) for k in kinds}


def _highest(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the highest price of each kind. A tier that one of the rows lacks stays unknown."""
    if not rows:
        return {}
    highest: dict[str, Any] = {}
    for tier in TIERS:
        prices = [row[tier] for row in rows if tier in row]
        if len(prices) == len(rows):
            highest[tier] = highest_of_each(prices)
    images = [row["image"] for row in rows if "image" in row]
    if images:
        highest["image"] = max(images, key=Decimal)
    long_inputs = [row["long_input"] for row in rows if "long_input" in row]
    if long_inputs:
        highest["long_input"] = min(long_inputs)
    return highest
