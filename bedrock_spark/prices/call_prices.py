"""The price of a single call by the model that answered it and the tier that it was paid at.

A run may name another fallback model, or another service tier, than when it asked before. An answer
costs what its own model costs, whatever the config names today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from bedrock_spark.config import FallbackConfig, TokenPrices
from bedrock_spark.prices.lookup import ModelPrices

# The tiers of a call. UNITS: model units that the run bought; they are paid by the hour.
STANDARD, FLEX, PRIORITY, RESERVED, UNITS = "standard", "flex", "priority", "reserved", "units"
_TIERS = (FLEX, PRIORITY, RESERVED)


class NamedFallback(BaseModel):
    """A fallback model that the config names or has named, with the user's own prices of it.

    fallback: dollars per 1,000 tokens; flex: of calls that the flex tier answered; None: the config
        that named the model had no such price
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_id: str
    fallback: TokenPrices | None = None
    flex: TokenPrices | None = None


@dataclass(frozen=True)
class CallPrices:
    """The prices of calls of one model at one tier.

    tokens: dollars per 1,000 tokens, None if they are not known
    image: dollars per image, None if it is not known
    by_hour: the run pays model units by the hour, and nothing for the tokens of these calls
    """

    tokens: TokenPrices | None = None
    image: Decimal | None = None
    by_hour: bool = False


@dataclass(frozen=True)
class EarlierPrices:
    """The prices of the fallback models that the config does not name any more.

    own: the user's own, by model id; listed: the list prices, by model id
    """

    own: Mapping[str, NamedFallback] = field(default_factory=dict)
    listed: Mapping[str, ModelPrices] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the prices as plain values, without where they come from."""
        own = {k: v.model_dump(mode="json", exclude_none=True) for k, v in self.own.items()}
        chosen = {"tiers", "image"}
        listed = {k: v.model_dump(mode="json", include=chosen) for k, v in self.listed.items()}
        return {"own": own, "listed": listed}

    def of_call(self, model_id: str, tier: str, image: Decimal | None) -> CallPrices:
        """Return the prices of a model. image: the user's own price of an image of any model."""
        own, listed = self.own.get(model_id), self.listed.get(model_id)
        list_image = listed.image if listed is not None else None
        tiers = listed.tiers if listed is not None else {}
        tokens = own_tokens(own, tier) or tiers.get(tier)
        if tokens is None and tier == FLEX:
            tokens = tiers.get(STANDARD)
        return CallPrices(tokens, image if image is not None else list_image)


def own_tokens(own: NamedFallback | None, tier: str) -> TokenPrices | None:
    """Return the user's own price of the tokens of a model's calls, None if there is none."""
    if own is None:
        return None
    return own.flex or own.fallback if tier == FLEX else own.fallback


def tier_paid(config: FallbackConfig, told: str | None) -> str:
    """Return the tier that an answer of the fallback is paid at.

    told: the tier that the reply names; None if it names none: then it is that of the config
    """
    if config.create is not None:
        return UNITS
    tier = config.service_tier if told is None else told
    return tier if tier in _TIERS else STANDARD
