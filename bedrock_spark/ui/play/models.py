"""The models of the playground: read once a minute, and each with what its requests take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bedrock_spark.aws.clients import AwsSettings, model_client, region_here
from bedrock_spark.aws.model_family import ServedModel, served_model
from bedrock_spark.aws.model_lists import list_models
from bedrock_spark.browse.last_used import LastUsed
from bedrock_spark.clock import Clock
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import bare_model_id, family_by_name
from bedrock_spark.playground.attached import taken_words
from bedrock_spark.playground.catalogue import Catalogue, catalogue_of
from bedrock_spark.playground.conversation import chat_model, is_chat
from bedrock_spark.playground.estimate import price_words
from bedrock_spark.playground.offered_model import (
    CHAT,
    EMBEDDING,
    IMAGE,
    KINDS,
    OfferedModel,
    named_model,
)
from bedrock_spark.playground.parameters import parameters_of
from bedrock_spark.playground.prices import CallPrice, list_price

CONVERSE = "converse"
_FRESH_SECONDS = 60.0
# How many models are remembered whose id hides their family.
_MOST_SERVED = 200


@dataclass(frozen=True)
class _Listed:
    catalogue: Catalogue
    read_at: float


@dataclass
class ModelList:
    """The models of the caller's Region. Safe to use from many threads."""

    aws: AwsSettings
    clock: Clock
    _listed: LastUsed[str, _Listed] = field(default_factory=lambda: LastUsed(1))
    _served: LastUsed[str, ServedModel] = field(default_factory=lambda: LastUsed(_MOST_SERVED))

    def catalogue(self, *, is_new: bool = False) -> Catalogue:
        """Return the models that the service lists. is_new: list them again.

        A list with a fault is not kept. Raises ConfigError without a Region.
        """
        region = self.aws.region or region_here() or ""

        def listed(known: _Listed | None) -> _Listed:
            is_good = known is not None and not known.catalogue.faults and not is_new
            if known and is_good and self.clock.now() - known.read_at <= _FRESH_SECONDS:
                return known
            catalogue = catalogue_of(list_models(model_client(self.aws)), region)
            return _Listed(catalogue, self.clock.now())

        return self._listed.make(region, listed).catalogue

    def offered(self, model_id: str) -> OfferedModel:
        """Return a model as the service lists it, or as its id alone describes it."""
        known = self._listed.get(self.aws.region or region_here() or "")
        found = known.catalogue.find(model_id) if known is not None else None
        return found or named_model(model_id)

    def served(self, model_id: str, tab: str, *, converse: bool) -> ServedModel:
        """Return a model as it is asked on a tab: by its family, or by Converse.

        Calls the service only for a model that is not listed, and whose id hides its family.
        Raises ConfigError if the model is not asked on this tab.
        """
        model = self._model(model_id)
        if converse:
            if not is_chat(model.family):
                raise ConfigError(f"{model_id}: Converse is for models that answer with text")
            return replace(model, family=family_by_name(CONVERSE), note=None)
        makes = _tab_of(model)
        if (tab if tab in (IMAGE, EMBEDDING) else CHAT) != makes:
            raise ConfigError(f"{model_id}: is asked on the tab {makes}")
        return chat_model(model) if tab == CHAT else model

    def _model(self, model_id: str) -> ServedModel:
        offered = self.offered(model_id)
        if offered.family is not None and offered.base is not None:
            is_hidden = model_id.startswith("arn:") and offered.kind != "custom"
            base = offered.base if is_hidden else model_id
            family = family_by_name(offered.family)
            if family.name != CONVERSE:
                return ServedModel(model_id, family, base)
        return self._served.make(
            model_id, lambda known: known or served_model(self.aws, model_id, self.clock)
        )

    def price(self, model: ServedModel) -> CallPrice:
        """Return the list prices of a call to a model."""
        return list_price(model, self.aws)


def _tab_of(model: ServedModel) -> str:
    if model.family.answers_images:
        return IMAGE
    return CHAT if is_chat(model.family) else EMBEDDING


def groups_of(catalogue: Catalogue, tab: str, now: float) -> dict[str, Any]:
    """Return the models of a tab by their kinds, as the page has them."""
    models = catalogue.on(tab)
    groups = [
        {"name": name, "models": [_shown(m, now) for m in models if m.kind == kind]}
        for kind, name in KINDS.items()
    ]
    return {"groups": [g for g in groups if g["models"]], "faults": list(catalogue.faults)}


def _shown(model: OfferedModel, now: float) -> dict[str, Any]:
    return {
        "id": model.model_id,
        "name": model.name,
        "lacks": model.lacks,
        "facts": model.state_facts(now),
    }


def described(models: ModelList, model: ServedModel, now: float) -> dict[str, Any]:
    """Return what the page shows of a chosen model: facts, way, price, and its parameters."""
    offered = models.offered(model.id)
    by_converse = model.family.name == CONVERSE
    return {
        "id": model.id,
        "name": offered.name,
        "facts": offered.facts(now),
        "family": model.family.name,
        "way": "Converse" if by_converse else "InvokeModel",
        "note": model.note,
        "price": price_words(models.price(model)),
        "files": taken_words(model.family, bare_model_id(model.base)),
        "parameters": [
            asdict(parameter)
            for parameter in parameters_of(model.family, bare_model_id(model.base))
        ],
    }
