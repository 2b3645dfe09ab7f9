"""Create, Get, List and DeleteInferenceProfile: the system-defined ones of every served model, and
applications' own.

Whether two profiles may share a name is not documented; here they may.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_emulator.errors import ServiceError, conflict, invalid, not_found
from bedrock_emulator.families.model_ids import resolve
from bedrock_emulator.models.catalog import catalogued
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.draws import draw_id
from bedrock_emulator.state.profiles import Profile
from bedrock_emulator.state.tags import TagBook, check_tag_count, tag_map
from bedrock_emulator.state.world import World
from bedrock_emulator.wire.paging import page

# Where a geography's profiles route to: a selection. Others are shown with the asking Region only.
_ROUTES = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-west-1", "eu-west-3"),
    "apac": ("ap-northeast-1", "ap-south-1", "ap-southeast-2"),
}
_GEOGRAPHY_OF = {"us": "us", "eu": "eu", "ap": "apac"}


class ProfileApi:
    """The four operations."""

    def __init__(self, world: World, tags: TagBook) -> None:
        self._world = world
        self._book = world.profiles
        self._tags = tags

    def create(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Create an application's profile, or return the one that has the same token."""
        request = {name: value for name, value in params.items() if name != "tags"}
        tags = tag_map(params.get("tags", []))
        check_tag_count(tags)
        with self._book.lock:
            earlier = self._same_token(request, region)
            if earlier is not None:
                return {"inferenceProfileArn": earlier.arn, "status": "ACTIVE"}
            profile = self._admit(request, region)
            self._book.add(profile)
        self._tags.put(profile.arn, tags)
        return {"inferenceProfileArn": profile.arn, "status": "ACTIVE"}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        return _describe(self._find(params["inferenceProfileIdentifier"], region))

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        own = [profile for profile in self._book.all() if profile.region == region]
        wanted = params.get("typeEquals")
        chosen = [p for p in [*_system_profiles(region), *own] if wanted in (None, _kind(p))]
        shown, token = page(chosen, params, lambda p: (p.created_time, p.number))
        return {"inferenceProfileSummaries": [_describe(p) for p in shown], "nextToken": token}

    def delete(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        profile = self._find(params["inferenceProfileIdentifier"], region)
        if profile.request is None:
            raise invalid("A system-defined inference profile cannot be deleted.")
        self._book.remove(profile)
        self._tags.drop(profile.arn)
        return {}

    def exists(self, arn: str) -> bool:
        return self._book.get(arn) is not None

    def _find(self, identifier: str, region: str) -> Profile:
        """Find by ARN or id."""
        for profile in self._book.all():
            if profile.region == region and identifier in (profile.arn, profile.profile_id):
                return profile
        try:
            return _system(identifier.rsplit("/", 1)[-1], region)
        except ServiceError as exc:
            raise not_found(f"Could not find the inference profile {identifier}.") from exc

    def _same_token(self, request: dict[str, Any], region: str) -> Profile | None:
        token = request.get("clientRequestToken")
        for profile in self._book.all():
            used = (profile.request or {}).get("clientRequestToken")
            if token is not None and used == token and profile.region == region:
                if profile.request != request:
                    raise conflict("The clientRequestToken was used with other parameters.")
                return profile
        return None

    def _admit(self, request: dict[str, Any], region: str) -> Profile:
        ref = resolve(request["modelSource"]["copyFrom"], region)
        name = request["inferenceProfileName"]
        number = self._book.made + 1
        is_copied = ":inference-profile/" in ref.arn
        return Profile(
            profile_id=draw_id(self._world.faults.seed, "profile", region, name, number),
            region=region,
            name=name,
            base_model_id=ref.base_model_id,
            routes=_routes(ref.arn.rsplit("/", 1)[-1], region) if is_copied else (region,),
            number=number,
            created_time=self._world.clock.now(),
            request=request,
        )


def _system_profiles(region: str) -> list[Profile]:
    """Return the system-defined profiles of the Region's geography, by id when newest are first."""
    geography = _GEOGRAPHY_OF.get(region.split("-")[0])
    ids = [f"{geography}.{model_id}" for model_id in catalogued()] if geography else []
    return [_system(name, region, number) for number, name in enumerate(reversed(ids))]


def _system(profile_id: str, region: str, number: int = 0) -> Profile:
    """Return the system-defined profile of an id; ServiceError if nothing is served under it."""
    ref = resolve(profile_id, region)
    if ":inference-profile/" not in ref.arn:
        raise invalid("The provided inference profile identifier is invalid.")
    name = re.sub(r"[^0-9a-zA-Z]+", " ", profile_id)[:64].strip()
    routes = _routes(profile_id, region)
    return Profile(profile_id, region, name, ref.base_model_id, routes, number)


def _routes(profile_id: str, region: str) -> tuple[str, ...]:
    return _ROUTES.get(profile_id.split(".")[0], (region,))


def _kind(profile: Profile) -> str:
    return "SYSTEM_DEFINED" if profile.request is None else "APPLICATION"


def _describe(profile: Profile) -> dict[str, Any]:
    request = profile.request or {}
    made = as_datetime(profile.created_time) if profile.request else None
    return {
        "inferenceProfileName": profile.name,
        "description": request.get("description"),
        "createdAt": made,
        "updatedAt": made,
        "inferenceProfileArn": profile.arn,
        "models": [
            {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{profile.base_model_id}"}
            for region in profile.routes
        ],
        "inferenceProfileId": profile.profile_id,
        "status": "ACTIVE",
        "type": _kind(profile),
    }
