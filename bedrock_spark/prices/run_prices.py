"""The prices that a run counts with: the user's own, and for what is missing the list prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from bedrock_spark.config import Config, PricesConfig, RequestConfig, TokenPrices
from bedrock_spark.families.amazon_images import PATTERN as AMAZON_IMAGES
from bedrock_spark.families.bare_ids import without_arn, without_geography
from bedrock_spark.limits import PROVISIONED_MODEL_ARN
from bedrock_spark.prices.call_prices import (
    FLEX,
    STANDARD,
    UNITS,
    CallPrices,
    EarlierPrices,
    NamedFallback,
)
from bedrock_spark.prices.image_prices import more_than_listed
from bedrock_spark.prices.lookup import ModelPrices, highest_of_each
from bedrock_spark.prices.named_models import (
    batch_models,
    canary_models,
    fallback_models,
    may_use_flex,
    named_fallback,
    tier_of,
)
from bedrock_spark.prices.place_prices import (
    Find,
    NamedPlace,
    PlaceKey,
    PlacePrices,
    place_prices,
    twice,
)

PER_TOKENS = "{input: …, output: …}, in dollars per 1,000 tokens"


@dataclass(frozen=True)
class Unknown:
    """A price that is not known. key: its name in the config; fact: what is not known, in words."""

    key: str
    fact: str

    def __str__(self) -> str:
        """Return the fact, and the key of the config for the price."""
        return f"{self.fact}; set prices.{self.key}: {PER_TOKENS}"


@dataclass(frozen=True)
class RunPrices:
    """Dollars per 1,000 tokens, per image, and per model unit and hour. None: not known.

    batch: of jobs whose target is not known yet: if there are several targets, the highest price
    places: the prices of each target and canary model that the config names, or has named;
        targets: those of batch jobs that it names
    region: of the run
    fallback: of calls at the tier that the config names, or at the default one; flex: of calls that
        the flex tier answers
    canary: of the canary's single calls
    has_flex: whether the fallback may use the flex tier, and the price table has its price
    own: the names of the prices that are the config's own
    models: the list prices that these come from, each model once
    fallback_model, fallback_tier: the model and the tier of `fallback`; None: of any model
    earlier: the prices of fallback models that the config does not name any more
    unknown: what is not known, and the key to set; notes: what is not counted
    """

    batch: TokenPrices | None = None
    fallback: TokenPrices | None = None
    flex: TokenPrices | None = None
    canary: TokenPrices | None = None
    image: Decimal | None = None
    model_unit_hour: Decimal | None = None
    has_flex: bool = False
    own: frozenset[str] = frozenset()
    models: tuple[ModelPrices, ...] = ()
    fallback_model: str | None = None
    fallback_tier: str = STANDARD
    earlier: EarlierPrices = field(default_factory=EarlierPrices)
    places: Mapping[PlaceKey, PlacePrices] = field(default_factory=dict)
    targets: tuple[PlaceKey, ...] = ()
    region: str | None = None
    unknown: tuple[Unknown, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def uses_list(self) -> bool:
        """Tell whether one of the prices is a list price."""
        names = ("batch", "fallback", "flex", "canary", "image")
        return any(getattr(self, name) is not None for name in names if name not in self.own)

    @property
    def origins(self) -> list[str]:
        """Return where the list prices come from: each source once, with its places."""
        places: dict[str, list[str]] = {}
        for each in self.models:
            if each.is_known:
                known = places.setdefault(each.dated_source, [])
                known += [each.place] if each.place and each.place not in known else []
        return [", ".join([source, *known]) for source, known in places.items()]

    @property
    def of_canary(self) -> TokenPrices | None:
        """Return the price of the canary's calls: that of batch jobs, twice, if it has no other."""
        return self.canary if self.canary is not None else twice(self.batch)

    def of_batch(self, place: PlaceKey | None) -> CallPrices:
        """Return the prices of batch jobs. place: of the jobs; None if it is not known"""
        found = None if place is None else self.places.get(place)
        if found is None:
            return CallPrices(self.batch, self.image)
        return CallPrices(found.batch, self.image if found.image is None else found.image)

    def of_batch_on_demand(self, place: PlaceKey | None) -> TokenPrices | None:
        """Return the price of single calls that ask what batch jobs have asked there."""
        found = None if place is None else self.places.get(place)
        return self.of_canary if found is None else found.on_demand

    def of_try(self, model_id: str) -> CallPrices:
        """Return the prices of a try of the canary. model_id: the model that it asked"""
        found = self.places.get((model_id, self.region))
        if found is None:
            return CallPrices(self.of_canary, self.image)
        return CallPrices(found.on_demand, self.image if found.image is None else found.image)

    def of_call(self, model_id: str | None, tier: str) -> CallPrices:
        """Return the prices of an answer of the fallback.

        model_id: the model that answered, as the config named it; None: the line does not say, and
            it counts as the one of `fallback`
        tier: at which the answer was paid, as `tier_paid` returns it
        """
        if tier == UNITS:
            return CallPrices(by_hour=True)
        if model_id is not None and model_id != self.fallback_model:
            earlier = self.earlier
            is_named = model_id in earlier.own or model_id in earlier.listed
            if self.fallback_model is not None or is_named:
                own_image = self.image if "image" in self.own else None
                return earlier.of_call(model_id, tier, own_image)
        if tier == FLEX and self.flex is not None:
            return CallPrices(self.flex, self.image)
        if tier in (FLEX, self.fallback_tier) or "fallback" in self.own:
            return CallPrices(self.fallback, self.image)
        listed = self.earlier.of_call(self.fallback_model or "", tier, None)
        return CallPrices(listed.tokens, self.image)


def prices_of_run(
    config: Config,
    find: Find,
    named: Iterable[NamedFallback] = (),
    places: Iterable[NamedPlace] = (),
) -> RunPrices:
    """Return the prices of a run.

    find: returns the list prices of a model in a Region; not called if `prices.source` is none
    named: every fallback model that the configs of the run have named
    places: every target and canary model that they have named
    """
    own = config.prices
    is_auto = own.source == "auto"
    batch = [find(*place) for place in batch_models(config)] if is_auto else []
    on_demand = [find(*place) for place in fallback_models(config)] if is_auto else []
    canaries = [find(*place) for place in canary_models(config)] if is_auto else []
    listed = highest_tier(on_demand, tier_of(config))
    has_flex = may_use_flex(config) and highest_tier(on_demand, "flex") is not None
    images = [each.image for each in (*batch, *on_demand, *canaries)]
    known = [image for image in images if image is not None]
    of_targets = own.batch or highest_tier(batch, "batch")
    at_places = place_prices(
        [*batch_models(config), *canary_models(config)],
        *(places, find if is_auto else None, own.batch, own.image),
    )
    for place in canary_models(config):
        if at_places[place].on_demand is None:
            at_places[place] = replace(at_places[place], on_demand=twice(of_targets))
    return RunPrices(
        batch=of_targets,
        fallback=own.fallback or listed,
        # A user with a price of their own for the fallback may have another one for flex, too.
        flex=own.flex or own.fallback or highest_tier(on_demand, "flex"),
        canary=twice(own.batch) or highest_tier(canaries, "standard"),
        image=own.image if own.image is not None else max(known, default=None),
        model_unit_hour=own.model_unit_hour,
        has_flex=has_flex,
        own=_own(own),
        models=tuple({(m.model_id, m.region): m for m in (*batch, *on_demand, *canaries)}.values()),
        unknown=tuple(_unknown(config, batch, on_demand)),
        notes=tuple(_notes(config, (*batch, *on_demand))),
        fallback_model=config.fallback.model_id if config.fallback is not None else None,
        fallback_tier=_fallback_tier(config),
        earlier=_earlier(config, find if is_auto else None, named),
        places=at_places,
        targets=tuple(batch_models(config)),
        region=config.batch.region,
    )


def _fallback_tier(config: Config) -> str:
    is_bought = config.fallback is not None and config.fallback.create is not None
    return UNITS if is_bought else tier_of(config)


def _earlier(config: Config, find: Find | None, named: Iterable[NamedFallback]) -> EarlierPrices:
    """Return the prices of all fallback models that a run has named, or names.

    find: returns list prices; None if only the user's own prices count
    """
    own = {each.model_id: each for each in named}
    for model_id, prices in config.prices.earlier.items():
        own[model_id] = NamedFallback(model_id=model_id, fallback=prices)
    current = named_fallback(config)
    if current is not None:
        own[current.model_id] = current
    if find is None:
        return EarlierPrices(own)
    tokens_paid = (m for m in own if PROVISIONED_MODEL_ARN.fullmatch(m) is None)
    return EarlierPrices(own, {m: find(m, config.batch.region) for m in tokens_paid})


def _own(own: PricesConfig) -> frozenset[str]:
    """Return the names of the prices that follow from those of the config."""
    named = {
        name for name in ("batch", "fallback", "flex", "image") if getattr(own, name) is not None
    }
    named |= {"canary"} if "batch" in named else set()
    named |= {"flex"} if "fallback" in named else set()
    return frozenset(named | ({"model_unit_hour"} if own.model_unit_hour is not None else set()))


def _unknown(
    config: Config, batch: list[ModelPrices], on_demand: list[ModelPrices]
) -> Iterator[Unknown]:
    """Yield what is not known of each model, and the config that would say it."""
    own = config.prices
    if own.batch is None and own.image is None:
        for each in batch:
            if "batch" not in each.tiers and each.image is None:
                yield Unknown(
                    "batch",
                    f"the batch price of {each.model_id} is not in {each.source}"
                    f"{_known_on_demand(each)}",
                )
    if own.fallback is None and own.image is None:
        for each in on_demand:
            if tier_of(config) not in each.tiers and each.image is None:
                yield Unknown(
                    "fallback",
                    f"the {tier_of(config)} price of {each.model_id} is not in {each.source}",
                )


def _notes(config: Config, models: Sequence[ModelPrices]) -> Iterator[str]:
    longs = {each.model_id: each.long_input for each in models if each.long_input}
    for model_id, tokens in longs.items():
        yield f"calls of {model_id} with more than {tokens:,} input tokens cost more than counted"
    if config.prices.image is None:
        drawn = dict.fromkeys(each.model_id for each in models if each.image is not None)
        for model_id in filter(_is_amazons, drawn):
            why = more_than_listed(model_id, _drawing_body(config.request))
            if why is not None:
                yield f"images of {model_id}: {why}; set prices.image to the highest price"


def _is_amazons(model_id: str) -> bool:
    return AMAZON_IMAGES.fullmatch(without_geography(without_arn(model_id))) is not None


def _drawing_body(request: RequestConfig) -> Mapping[str, Any]:
    """Return what the request says of the size of its images, in the form of a body."""
    if request.body is not None:
        return request.body
    sizes = {"width": request.width, "height": request.height}
    return {"imageGenerationConfig": {k: v for k, v in sizes.items() if v is not None}}


def _known_on_demand(prices: ModelPrices) -> str:
    standard = prices.tiers.get("standard")
    if standard is None:
        return ""
    return f" (on demand, it is {plain(standard.input)} in, {plain(standard.output)} out per 1,000)"


def plain(number: Decimal) -> str:
    """Return a price without an exponent or zeros at its end."""
    return format(number.normalize(), "f")


def highest_tier(models: Iterable[ModelPrices], tier: str) -> TokenPrices | None:
    """Return the highest prices of a tier, None if one of the models has no such price."""
    found = [each.tiers.get(tier) for each in models]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    return TokenPrices(**highest_of_each([each.model_dump(exclude_none=True) for each in known]))
