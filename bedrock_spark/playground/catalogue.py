"""The models that a caller can ask in one Region, and what the service says of each.

A provisioned throughput comes first, because somebody pays for its hours; then inference profiles,
foundation models and custom models. A model stands on the tabs of what it makes: by its family
here, and by the modalities that the service lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bedrock_spark.aws.model_family import base_in_arn
from bedrock_spark.aws.model_lists import ModelLists
from bedrock_spark.aws.model_state import LEGACY, ModelState, described_state
from bedrock_spark.aws.provisioned import READY
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


# The custom models that InvokeModel and Converse can name: InvokeModelIdentifier in botocore's
# service model of bedrock-runtime. Their base has no version.
_CALLABLE_CUSTOM = re.compile(
    r"arn:[^/]+:custom-model/[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}/[a-z0-9]{12}"
)


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


@dataclass(frozen=True)
class Catalogue:
    """The models of a Region, in the order in which a page shows them.

    faults: why a list is missing, each as a sentence
    """

    models: tuple[OfferedModel, ...]
    faults: tuple[str, ...] = ()

    def on(self, tab: str) -> list[OfferedModel]:
        """Return the models of a tab, also those that a call cannot name now."""
        return [model for model in self.models if tab in model.tabs]

    def find(self, model_id: str) -> OfferedModel | None:
        """Return the model that a call names so; None if it is not listed."""
        return next((model for model in self.models if model.model_id == model_id), None)


def catalogue_of(lists: ModelLists, region: str) -> Catalogue:
    """Return the models that four listings name."""
    summaries = {str(each["modelId"]): each for each in lists.foundation.items}
    models = (
        *sorted(_provisioned(lists.provisioned.items, summaries, region), key=_place_of_name),
        *sorted(_profiles(lists.profiles.items, summaries, region), key=_place_of_profile),
        *sorted(_foundation(summaries, region), key=lambda model: model.model_id),
        *sorted(_custom(lists.custom.items, summaries, region), key=_place_of_name),
    )
    return Catalogue(models, tuple(lists.faults))


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
    return OfferedModel(model_id, model_id, kind, base, _family_name(base), tabs)


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


def _family_name(base: str | None) -> str | None:
    family = _family(base)
    return None if family is None else family.name


def _of_base(
    base: str | None, summaries: Mapping[str, Mapping[str, Any]], region: str
) -> dict[str, Any]:
    """Return what a model has from its foundation model."""
    summary = _summary_of(base, summaries)
    state = None
    if base is not None and "modelLifecycle" in summary:
        state = described_state(base, region, {"modelDetails": summary}, ())
    provider = summary.get("providerName")
    return {
        "base": base,
        "family": _family_name(base),
        "tabs": tabs_of(base, summary.get("outputModalities", ())),
        "provider": None if provider is None else str(provider),
        "state": state,
    }


def _summary_of(base: str | None, summaries: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the summary of a model, or of the one whose longer context it is: `…-v1:0:300k`."""
    while base is not None:
        if base in summaries:
            return summaries[base]
        base = base.rpartition(":")[0] or None
    return {}


def _foundation(summaries: Mapping[str, Mapping[str, Any]], region: str) -> Iterator[OfferedModel]:
    for model_id, summary in summaries.items():
        yield OfferedModel(
            model_id=model_id,
            name=str(summary.get("modelName") or model_id),
            kind="foundation",
            lacks=_what_keeps_off(summary.get("inferenceTypesSupported", ())),
            **_of_base(model_id, summaries, region),
        )


def _what_keeps_off(types: Iterable[str]) -> str | None:
    """Return why a foundation model's own id is refused. The service does not list every type."""
    known = tuple(types)
    if not known or "ON_DEMAND" in known:
        return None
    if "INFERENCE_PROFILE" in known:
        return "is served through inference profiles only: choose one of them"
    return "is served by provisioned throughput only"


def _profiles(
    items: Iterable[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    region: str,
) -> Iterator[OfferedModel]:
    for item in items:
        arns = [str(m["modelArn"]) for m in item.get("models", ()) if m.get("modelArn")]
        is_system = item.get("type") == "SYSTEM_DEFINED"
        status = str(item.get("status", "ACTIVE"))
        yield OfferedModel(
            model_id=str(item["inferenceProfileId" if is_system else "inferenceProfileArn"]),
            name=str(item["inferenceProfileName"]),
            kind="profile",
            status=status,
            regions=tuple(sorted({arn.split(":")[3] for arn in arns} - {""})),
            lacks=None if status == "ACTIVE" else f"is {status}",
            **_of_base(bare_model_id(arns[0]) if arns else None, summaries, region),
        )


def _custom(
    items: Iterable[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    region: str,
) -> Iterator[OfferedModel]:
    for item in items:
        arn, status = str(item["modelArn"]), str(item.get("modelStatus", "Active"))
        base = bare_model_id(str(item.get("baseModelArn", "")))
        if ":custom-model/" in base:  # a custom model may be made of another one
            base = base_in_arn(base) or ""
        yield OfferedModel(
            model_id=arn,
            name=str(item["modelName"]),
            kind="custom",
            status=status,
            lacks=_what_keeps_off_custom(arn, status),
            **_of_base(base or base_in_arn(arn), summaries, region),
        )


def _what_keeps_off_custom(arn: str, status: str) -> str | None:
    """Return why calls cannot name a custom model: the service model refuses most of their ARNs."""
    if status != "Active":
        return f"is {status} and does not serve"
    if _CALLABLE_CUSTOM.fullmatch(arn):
        return None
    return "answers through a provisioned throughput or a deployment of it only: name that one"


def _provisioned(
    items: Iterable[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    region: str,
) -> Iterator[OfferedModel]:
    for item in items:
        status, until = str(item["status"]), item.get("commitmentExpirationTime")
        yield OfferedModel(
            model_id=str(item["provisionedModelArn"]),
            name=str(item["provisionedModelName"]),
            kind="provisioned",
            status=status,
            units=Units(
                int(item["modelUnits"]),
                int(item["desiredModelUnits"]),
                item.get("commitmentDuration"),
                None if until is None else until.timestamp(),
            ),
            lacks=None if status in READY else f"is {status} and does not serve",
            **_of_base(bare_model_id(str(item["foundationModelArn"])), summaries, region),
        )


def _place_of_name(model: OfferedModel) -> tuple[str, str]:
    return model.name.lower(), model.model_id


def _place_of_profile(model: OfferedModel) -> tuple[bool, str]:
    """Order profiles: first those that the account made."""
    return not model.model_id.startswith("arn:"), model.model_id


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
