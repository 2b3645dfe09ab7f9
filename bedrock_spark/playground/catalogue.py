"""The models that a caller can ask in one Region, and what the service says of each.

A provisioned throughput comes first, because somebody pays for its hours; then inference profiles,
foundation models and custom models. A model stands on the tabs of what it makes: by its family
here, and by the modalities that the service lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.model_family import base_in_arn
from bedrock_spark.aws.model_lists import ModelLists
from bedrock_spark.aws.model_state import described_state
from bedrock_spark.aws.provisioned import READY
from bedrock_spark.families import bare_model_id
from bedrock_spark.playground.offered_model import OfferedModel, Units, family_name, tabs_of

# The custom models that InvokeModel and Converse can name: InvokeModelIdentifier in botocore's
# service model of bedrock-runtime. Their base has no version.
_CALLABLE_CUSTOM = re.compile(
    r"arn:[^/]+:custom-model/[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}/[a-z0-9]{12}"
)


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
        "family": family_name(base),
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
