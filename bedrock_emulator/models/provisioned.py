"""Provisioned throughput: its operations, its life cycle and its limit of tokens per minute.

The tokens of all requests of the last 60 emulated seconds are summed up: `state/token_windows.py`.
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedrock_emulator.errors import ServiceError, conflict, invalid, not_found
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.draws import draw_id
from bedrock_emulator.state.tags import TagRegistry, check_tag_count, tag_map
from bedrock_emulator.state.token_windows import Reservation, TokenWindows
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.paging import page

_COMMITMENT_DAYS = {"OneMonth": 30, "SixMonths": 180}
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Provisioned:
    """One provisioned throughput. While it is Updating, `model_arn` is still the old model."""

    model_key: str
    region: str
    number: int
    name: str
    token: str
    request: dict[str, Any]
    units: int
    model_arn: str
    desired_model_arn: str
    base_model_id: str
    created_time: float
    modified_time: float
    status: str = "Creating"
    failure: str = ""
    commitment_ends: float | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:bedrock:{self.region}:{ACCOUNT_ID}:provisioned-model/{self.model_key}"


class ProvisionedApi:
    """The five operations on provisioned throughput, and what the runtime needs from it."""

    def __init__(self, world: EmulatorState, tags: TagRegistry) -> None:
        self._world = world
        self._tags = tags
        self._lock = threading.RLock()
        self._all = {key: Provisioned(**body) for key, body in world.store.documents("provisioned")}
        self._windows = TokenWindows(world.clock)
        self._last_number = max((item.number for item in self._all.values()), default=0)

    def resume(self) -> None:
        """Schedule the changes of status that a restart interrupted."""
        for item in self._all.values():
            if item.status in ("Creating", "Updating"):
                self._schedule_change(item, item.modified_time)

    # --- operations -----------------------------------------------------------------------------

    def create(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Buy units, or return the provisioned throughput created with the same token.

        Raise ValidationException if the name is in use, or the token was used with other parameters
        and the fault script refuses that, ServiceQuotaExceededException if the Region has too few
        units left.
        """
        request = {name: value for name, value in params.items() if name != "tags"}
        tags = tag_map(params.get("tags", []))
        check_tag_count(tags)
        with self._lock:
            existing = self._find_by_token(request, region)
            if existing is not None:
                return {"provisionedModelArn": existing.arn}
            item = self._new_item(request, region)
            self._keep(item)
        self._tags.put(item.arn, tags)
        self._schedule_change(item, item.created_time)
        return {"provisionedModelArn": item.arn}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Describe a provisioned throughput, found by ARN, id or name."""
        return self._describe(self._find(params["provisionedModelId"], region))

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Return one page of the Region's provisioned throughputs."""
        with self._lock:
            items = [item for item in self._all.values() if item.region == region]
        matching = [item for item in items if _matches(item, params)]
        listed, token = page(matching, params, lambda item: (item.created_time, item.number))
        return {
            "provisionedModelSummaries": [self._describe(item) for item in listed],
            "nextToken": token,
        }

    def update(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Rename, or move to another model with the same base, such as a newer custom model."""
        with self._lock:
            item = self._find(params["provisionedModelId"], region)
            now = self._world.clock.now()
            name = params.get("desiredProvisionedModelName")
            if name is not None and name != item.name:
                self._check_name(name, region)
                item = replace(item, name=name, modified_time=now)
            model_id = params.get("desiredModelId")
            if model_id is not None:
                if item.status != "InService":
                    raise invalid(f"The provisioned model is {item.status}, not InService.")
                ref = self._world.profiles.resolve(model_id, region)
                if ref.base_model_id.split(":")[0] != item.base_model_id.split(":")[0]:
                    raise invalid("The desired model must have the same base model.")
                item = replace(
                    item, desired_model_arn=ref.arn, status="Updating", modified_time=now
                )
                self._schedule_change(item, now)
            self._keep(item)
        return {}

    def delete(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Delete. Raise ConflictException before the commitment ends or while it is changing."""
        with self._lock:
            item = self._find(params["provisionedModelId"], region)
            ends = item.commitment_ends
            if ends is not None and self._world.clock.now() < ends:
                raise conflict(
                    f"The provisioned model cannot be deleted before its commitment term ends at "
                    f"{as_datetime(ends).isoformat()}."
                )
            if item.status in ("Creating", "Updating"):
                raise conflict(f"The provisioned model is {item.status} and cannot be deleted.")
            del self._all[item.model_key]
            self._windows.drop(item.model_key)
            self._world.store.delete("provisioned", item.model_key)
        self._tags.drop(item.arn)
        return {}

    # --- for the runtime ------------------------------------------------------------------------

    def find_ready(self, arn: str) -> Provisioned:
        """Return the provisioned throughput of an ARN.

        Raise ResourceNotFoundException if it does not exist, ModelNotReadyException if it cannot be
        invoked yet.
        """
        item = self._all.get(arn.rsplit("/", 1)[-1])
        if item is None or item.arn != arn:
            raise not_found("The provided provisioned model could not be found.")
        if item.status not in ("InService", "Updating"):
            raise ServiceError(
                "ModelNotReadyException",
                f"The provisioned model is not ready for inference: it is {item.status}.",
            )
        return item

    def reserve(self, item: Provisioned, tokens: int) -> Reservation:
        """Reserve tokens in the current window. Raise ThrottlingException if they do not fit.

        The limit is units x tokens per minute and unit. As with the on-demand quota, a request
        reserves its input plus its maximal output at its start; the caller sets the tokens of the
        returned reservation to the used number at its end. A request larger than the whole limit
        passes if the window is empty.
        """
        per_unit = (
            self._world.faults.current.provisioned.tokens_per_minute_per_unit
            or self._world.settings.tokens_per_minute_per_unit
        )
        return self._windows.reserve(item.model_key, tokens, per_unit * item.units)

    # --- internals ------------------------------------------------------------------------------

    def exists(self, arn: str) -> bool:
        """Return whether a provisioned throughput has this ARN."""
        return any(item.arn == arn for item in self._all.values())

    def _find(self, identifier: str, region: str) -> Provisioned:
        """Find by ARN, id or name: the operations accept all three."""
        with self._lock:
            for item in self._all.values():
                if item.region == region and identifier in (item.arn, item.model_key, item.name):
                    return item
        raise not_found(f"Could not find the provisioned model {identifier}.")

    def _find_by_token(self, request: dict[str, Any], region: str) -> Provisioned | None:
        """Return the provisioned throughput created with the request's token, or None."""
        token = request.get("clientRequestToken")
        for item in self._all.values():
            if token is not None and item.token == token and item.region == region:
                if self._world.faults.current.behaviour.refuses(item.request, request):
                    # CreateProvisionedModelThroughput has no ConflictException in the model.
                    raise invalid("The clientRequestToken was used with other parameters.")
                return item
        return None

    def _new_item(self, request: dict[str, Any], region: str) -> Provisioned:
        ref = self._world.profiles.resolve(request["modelId"], region)
        if "inference-profile/" in ref.arn:
            raise invalid("Provisioned throughput cannot be bought for an inference profile.")
        name = request["provisionedModelName"]
        self._check_name(name, region)
        bought = sum(item.units for item in self._all.values() if item.region == region)
        quota = self._world.settings.max_model_units
        if bought + request["modelUnits"] > quota:
            raise ServiceError(
                "ServiceQuotaExceededException",
                f"The model units would exceed the quota of {quota} in this Region.",
            )
        now = self._world.clock.now()
        days = _COMMITMENT_DAYS.get(request.get("commitmentDuration", ""))
        self._last_number += 1
        return Provisioned(
            model_key=draw_id(
                self._world.faults.seed, "provisioned", region, name, self._last_number
            ),
            region=region,
            number=self._last_number,
            name=name,
            token=request.get("clientRequestToken", ""),
            request=request,
            units=request["modelUnits"],
            model_arn=ref.arn,
            desired_model_arn=ref.arn,
            base_model_id=ref.base_model_id,
            created_time=now,
            modified_time=now,
            commitment_ends=None if days is None else now + days * _DAY_SECONDS,
        )

    def _check_name(self, name: str, region: str) -> None:
        if any(item.name == name and item.region == region for item in self._all.values()):
            raise invalid(f"The provisioned model name {name} is already in use.")

    def _schedule_change(self, item: Provisioned, since: float) -> None:
        due = since + self._world.settings.timings.provisioning
        self._world.timeline.schedule(
            due, item.model_key, lambda at: self._finish_change(item.model_key, at)
        )

    def _finish_change(self, key: str, at: float) -> None:
        faults = self._world.faults.current.provisioned
        with self._lock:
            item = self._all.get(key)
            if item is None or item.status not in ("Creating", "Updating"):
                return
            fails = faults.fail is not None and fnmatch.fnmatchcase(item.name, faults.fail)
            if fails and item.status == "Creating":
                failed = replace(item, status="Failed", failure=faults.failure_message)
                self._keep(replace(failed, modified_time=at))
                return
            ready = replace(item, status="InService", model_arn=item.desired_model_arn)
            self._keep(replace(ready, modified_time=at))

    def _keep(self, item: Provisioned) -> None:
        self._all[item.model_key] = item
        self._world.store.put("provisioned", item.model_key, asdict(item))

    def _describe(self, item: Provisioned) -> dict[str, Any]:
        ends = item.commitment_ends
        base = f"arn:aws:bedrock:{item.region}::foundation-model/{item.base_model_id}"
        return {
            "provisionedModelName": item.name,
            "provisionedModelArn": item.arn,
            "modelUnits": item.units,
            "desiredModelUnits": item.units,
            "modelArn": item.model_arn,
            "desiredModelArn": item.desired_model_arn,
            "foundationModelArn": base,
            "status": item.status,
            "creationTime": as_datetime(item.created_time),
            "lastModifiedTime": as_datetime(item.modified_time),
            "failureMessage": item.failure or None,
            "commitmentDuration": item.request.get("commitmentDuration"),
            "commitmentExpirationTime": None if ends is None else as_datetime(ends),
        }


def _matches(item: Provisioned, params: dict[str, Any]) -> bool:
    created = as_datetime(item.created_time)
    return (
        params.get("statusEquals", item.status) == item.status
        and params.get("nameContains", "") in item.name
        and params.get("modelArnEquals", item.model_arn) == item.model_arn
        and ("creationTimeAfter" not in params or created > params["creationTimeAfter"])
        and ("creationTimeBefore" not in params or created < params["creationTimeBefore"])
    )
