"""ListCustomModels and GetCustomModel.

The emulator trains and imports nothing. The list has the custom models that the fault script names.
Every other ARN that names a served base model is a custom model, too. One is
`arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl`.
Batch jobs and InvokeModel need nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.errors import ServiceError, not_found
from bedrock_emulator.families.model_ids import resolve
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.draws import draw_id
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.paging import page

_CREATED_AT = 1_700_000_000.0  # any fixed time


@dataclass(frozen=True)
class CustomModel:
    """A custom model. number: its place in the fault script; 0 if the script does not name it."""

    name: str
    arn: str
    base_model_id: str
    base_arn: str
    number: int = 0

    @property
    def created_time(self) -> float:
        """Return when it was made: one second after the one before it in the script."""
        return _CREATED_AT + self.number

    def describe(self) -> dict[str, Any]:
        """Return the members that both operations have."""
        return {
            "modelArn": self.arn,
            "modelName": self.name,
            "creationTime": as_datetime(self.created_time),
            "baseModelArn": self.base_arn,
            "customizationType": "FINE_TUNING",
            "modelStatus": "Active",
        }


class CustomModels:
    """The two operations on custom models."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Return one page of the custom models that the fault script names."""
        matching = [model for model in self._scripted(region) if _matches(model, params)]
        listed, token = page(matching, params, lambda m: (m.created_time, m.number))
        summaries = [
            {
                **model.describe(),
                # The service model allows no colon here.
                "baseModelName": model.base_model_id.split(":")[0][:63],
                "ownerAccountId": ACCOUNT_ID,
            }
            for model in listed
        ]
        return {"modelSummaries": summaries, "nextToken": token}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Describe a custom model, by its ARN, or by the name that the fault script gives it.

        Raise ResourceNotFoundException for any other name: it does not name a base model.
        """
        identifier = params["modelIdentifier"]
        scripted = self._scripted(region)
        found = next((m for m in scripted if identifier in (m.name, m.arn)), None)
        found = found or _of_arn(identifier, region)
        if found is None:
            raise not_found(f"Could not find the custom model {identifier}.")
        return found.describe()

    def _scripted(self, region: str) -> Iterator[CustomModel]:
        script, seed = self._world.faults.current.custom_models, self._world.faults.seed
        for number, (name, base) in enumerate(script.items(), start=1):
            key = draw_id(seed, "custom", region, name)
            arn = f"arn:aws:bedrock:{region}:{ACCOUNT_ID}:custom-model/{base}/{key}"
            yield CustomModel(name, arn, base, _base_arn(base, region), number)


def _of_arn(arn: str, region: str) -> CustomModel | None:
    try:
        ref = resolve(arn, region) if ":custom-model/" in arn else None
    except ServiceError:
        ref = None
    if ref is None:
        return None
    name = f"custom-{arn.rsplit('/', 1)[-1]}"
    return CustomModel(name, arn, ref.base_model_id, _base_arn(ref.base_model_id, region))


def _base_arn(base_model_id: str, region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{base_model_id}"


def _matches(model: CustomModel, params: dict[str, Any]) -> bool:
    created = as_datetime(model.created_time)
    bases = params.get("baseModelArnEquals"), params.get("foundationModelArnEquals")
    return (
        params.get("nameContains", "") in model.name
        and all(base in (None, model.base_arn) for base in bases)
        and params.get("isOwned", True)
        and params.get("modelStatus", "Active") == "Active"
        and ("creationTimeAfter" not in params or created > params["creationTimeAfter"])
        and ("creationTimeBefore" not in params or created < params["creationTimeBefore"])
    )
