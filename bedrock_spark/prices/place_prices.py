"""The prices of a model in a Region: of its batch jobs, and of single calls that ask the same.

A run may have batch jobs of several models in several Regions, and its config may name others
later. A job costs what its own model costs in its own Region, whatever the config names today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from bedrock_spark.config import TokenPrices
from bedrock_spark.prices.call_prices import STANDARD
from bedrock_spark.prices.lookup import ModelPrices

# Returns the list prices of a model in a Region.
Find: TypeAlias = Callable[[str, str | None], ModelPrices]
# A model id, and a Region; None if the run has none.
PlaceKey: TypeAlias = tuple[str, str | None]

# The user's price list names batch prices only, and a call on demand costs twice as much:
# "50% lower price when compared to on-demand" (https://aws.amazon.com/bedrock/pricing/).
ON_DEMAND_FACTOR = 2
_BATCH = "batch"


class NamedPlace(BaseModel):
    """A model of batch jobs or of the canary, and its Region, that the config names or has named.

    batch: the user's own price of batch jobs, in dollars per 1,000 tokens; None: the config that
        named the model had none
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_id: str
    region: str | None = None
    batch: TokenPrices | None = None

    @property
    def key(self) -> PlaceKey:
        """Return the model and the Region."""
        return self.model_id, self.region


@dataclass(frozen=True)
class PlacePrices:
    """Dollars per 1,000 tokens, by batch jobs and on demand, and per image. None: not known."""

    batch: TokenPrices | None = None
    on_demand: TokenPrices | None = None
    image: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the prices as plain values; what is not known is left out."""
        parts = {_BATCH: self.batch, "on_demand": self.on_demand}
        known = {name: part for name, part in parts.items() if part is not None}
        values = {k: part.model_dump(mode="json", exclude_none=True) for k, part in known.items()}
        return values if self.image is None else {**values, "image": str(self.image)}


def place_prices(
    current: Iterable[PlaceKey],
    named: Iterable[NamedPlace],
    find: Find | None,
    own: TokenPrices | None,
    image: Decimal | None,
) -> dict[PlaceKey, PlacePrices]:
    """Return the prices of every place that a run names, or has named.

    current: the places that the config names; own: its own price of batch jobs, None without one
    named: all places that the configs of the run have named
    find: returns list prices; None if only the user's own prices count
    image: the user's own price of an image

    The user's own price of a place is the last one while the config named it. If the price of an
    earlier place is known in no other way, it is the config's own price of batch jobs.
    """
    owns: dict[PlaceKey, TokenPrices | None] = {each.key: each.batch for each in named}
    now = list(current)
    owns.update(dict.fromkeys(now, own))
    found = {}
    for key, price in owns.items():
        listed = find(*key) if find is not None else None
        tiers: Mapping[str, TokenPrices] = {} if listed is None else listed.tiers
        batch = price or tiers.get(_BATCH) or own
        found[key] = PlacePrices(
            batch=batch,
            on_demand=twice(price) or tiers.get(STANDARD) or twice(batch),
            image=image if image is not None or listed is None else listed.image,
        )
    return found


def twice(batch: TokenPrices | None) -> TokenPrices | None:
    """Return the price of calls on demand, if only that of batch jobs is known."""
    if batch is None:
        return None
    values = batch.model_dump(exclude_none=True)
    return TokenPrices(**{name: price * ON_DEMAND_FACTOR for name, price in values.items()})
