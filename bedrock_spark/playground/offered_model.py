"""One model that calls can name: what it is, on which tabs it can be asked, and how it is doing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bedrock_spark.aws.model_family import base_in_arn
from bedrock_spark.aws.model_state import LEGACY, ModelState
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import Family, bare_model_id, family_of_model
from bedrock_spark.playground.dates import date_of, distance_to

Kind = Literal["provisioned", "profile", "foundation", "custom"]
CHAT, TEXT, IMAGE, EMBEDDING = TABS = ("chat", "text", "image", "embedding")
KINDS: dict[Kind, str] = {
    "provisioned": "Provisioned throughputs",
    "profile": "Inference profiles",
    "foundation": "Foundation models",
    "custom": "Custom models",
}


@dataclass(frozen=True)
class Units:
    """The model units of a provisioned throughput, and how long they are bought.

    desired: differs from `now` while the throughput is changed
    committed_until: seconds since the epoch; None without a commitment
    """

    now: int
    desired: int
    commitment: str | None = None
    committed_until: float | None = None


@dataclass(frozen=True)
class OfferedModel:
    """A model that calls can name.

    model_id: what a call names: an id or an ARN; name: what people call it
    base: the bare id of its foundation model; None if it is not known
    family: the name of the family that builds its requests; None if no family does
    tabs: those of TABS on which it can be asked; () for a model of another kind, such as videos
    state: its life cycle, which is that of its foundation model; None if it is not known
    status: of a provisioned throughput, a profile or a custom model, in the service's words
    regions: where a profile sends calls to
    lacks: why a call that names it is refused; None if nothing is known against it
    """

    model_id: str
    name: str
    kind: Kind
    base: str | None
    family: str | None
    tabs: tuple[str, ...]
    provider: str | None = None
    state: ModelState | None = None
    status: str | None = None
    units: Units | None = None
    regions: tuple[str, ...] = ()
    lacks: str | None = None

    def facts(self, now: float) -> list[str]:
        """Return what the service says of the model, each fact as a short text."""
        base = [f"of {self.base}"] if self.kind != "foundation" and self.base is not None else []
        regions = [f"calls go to {', '.join(self.regions)}"] if self.regions else []
        return [*base, *regions, *self.state_facts(now)]

    def state_facts(self, now: float) -> list[str]:
        """Return the facts that decide whether to choose the model: state, units, life cycle."""
        facts = []
        if self.status is not None and self.kind != "profile":
            facts.append(self.status)
        if self.units is not None:
            facts += _unit_facts(self.units)
        if self.state is not None:
            facts += _life_facts(self.state, now)
        if self.lacks is not None:
            facts.append(self.lacks)
        return facts


def named_model(model_id: str) -> OfferedModel:
    """Return what an id alone says of a model that no listing has."""
    kind: Kind = "foundation"
    base: str | None = bare_model_id(model_id)
    if ":provisioned-model/" in model_id:
        kind, base = "provisioned", None
    elif "custom-model" in model_id or "imported-model" in model_id:
        kind, base = "custom", base_in_arn(model_id)
    elif "inference-profile/" in model_id or base != model_id:
        kind = "profile"
        base = None if ":application-inference-profile/" in model_id else base
    tabs = tabs_of(base, ()) if base is not None else TABS
    return OfferedModel(model_id, model_id, kind, base, family_name(base), tabs)


def tabs_of(base: str | None, makes: Iterable[str]) -> tuple[str, ...]:
    """Return the tabs on which a foundation model can be asked; () if on none.

    base: its bare id
    makes: the output modalities that the service lists; none if it lists none
    """
    family = _family(base)
    modalities = tuple(makes)
    if family is None:
        return ()
    if family.answers_images:
        return (IMAGE,)
    if family.read_chunk is None:
        return (EMBEDDING,)
    return (CHAT, TEXT) if not modalities or "TEXT" in modalities else ()


def _family(base: str | None) -> Family | None:
    if base is None:
        return None
    try:
        return family_of_model(ModelConfig(id=base))
    except (ConfigError, ValueError):
        return None


def family_name(base: str | None) -> str | None:
    """Return the name of the family of a foundation model; None if none is known."""
    family = _family(base)
    return None if family is None else family.name


def _unit_facts(units: Units) -> list[str]:
    facts = [f"{units.now} model unit{'s' * (units.now != 1)}"]
    if units.desired != units.now:
        facts.append(f"becoming {units.desired}")
    if units.committed_until is not None:
        facts.append(f"committed until {date_of(units.committed_until)}")
    return facts


def _life_facts(state: ModelState, now: float) -> list[str]:
    facts = [state.status.capitalize()] if state.status == LEGACY else []
    if state.extended_access_at is not None:
        tense = "costs more since" if state.extended_access_at <= now else "may cost more from"
        facts.append(f"{tense} {date_of(state.extended_access_at)}")
    if state.ends_at is not None:
        tense = "has ended on" if state.ends_at <= now else "ends on"
        facts.append(f"{tense} {date_of(state.ends_at)} ({distance_to(state.ends_at, now)})")
    return facts
