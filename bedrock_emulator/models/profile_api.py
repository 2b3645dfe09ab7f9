"""Create, Get, List and DeleteInferenceProfile.

Every served model has system-defined profiles; applications create their own. AWS does not document
whether two profiles may share a name. Here they may.
"""

from __future__ import annotations

import re
from typing import Any

from bedrock_emulator.errors import ServiceError, conflict, invalid, not_found
from bedrock_emulator.families.model_ids import resolve
from bedrock_emulator.models.catalog import listed_model_ids
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.draws import draw_id
from bedrock_emulator.state.profiles import Profile
from bedrock_emulator.state.tags import TagRegistry, check_tag_count, tag_map
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.paging import page

# The Regions that a geography's profiles route to: a selection. Any other profile routes only to
# the Region of the request.
_ROUTES = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-west-1", "eu-west-3"),
    "apac": ("ap-northeast-1", "ap-south-1", "ap-southeast-2"),
}
_GEOGRAPHY_OF = {"us": "us", "eu": "eu", "ap": "apac"}


class ProfileApi:
    """The four operations on inference profiles."""

    def __init__(self, world: EmulatorState, tags: TagRegistry) -> None:
        self._world = world
        self._book = world.profiles
        self._tags = tags

    def create(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Create an application's profile, or return the one created with the same token.

        Raise ConflictException if the token was used with other parameters and the fault script
        refuses that.
        """
        request = {name: value for name, value in params.items() if name != "tags"}
        tags = tag_map(params.get("tags", []))
        check_tag_count(tags)
        with self._book.lock:
            existing = self._find_by_token(request, region)
            if existing is not None:
                return {"inferenceProfileArn": existing.arn, "status": "ACTIVE"}
            profile = self._new_profile(request, region)
            self._book.add(profile)
        self._tags.put(profile.arn, tags)
        return {"inferenceProfileArn": profile.arn, "status": "ACTIVE"}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Describe a profile, found by ARN or id."""
        return _describe(self._find(params["inferenceProfileIdentifier"], region))

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Return one page of profiles: the system-defined ones and those of applications."""
        own = [profile for profile in self._book.all() if profile.region == region]
        type_filter = params.get("typeEquals")
        profiles = [*_system_profiles(region), *own]
        matching = [p for p in profiles if type_filter in (None, _type(p))]
        listed, token = page(matching, params, lambda p: (p.created_time, p.number))
        return {"inferenceProfileSummaries": [_describe(p) for p in listed], "nextToken": token}

    def delete(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Delete an application's profile.

        Raise ValidationException for a system-defined one, and ConflictException while a batch job
        uses it.
        """
        profile = self._find(params["inferenceProfileIdentifier"], region)
        if profile.request is None:
            raise invalid("A system-defined inference profile cannot be deleted.")
        jobs = self._world.jobs.all()
        if any(not job.is_settled and job.model_arn == profile.arn for job in jobs):
            raise conflict("The inference profile is used by a model invocation job.")
        self._book.remove(profile)
        self._tags.drop(profile.arn)
        return {}

    def exists(self, arn: str) -> bool:
        """Return whether an application's profile has this ARN."""
        return self._book.get(arn) is not None

    def _find(self, identifier: str, region: str) -> Profile:
        """Find by ARN or id."""
        for profile in self._book.all():
            if profile.region == region and identifier in (profile.arn, profile.profile_id):
                return profile
        try:
            return _system_profile(identifier.rsplit("/", 1)[-1], region)
        except ServiceError as exc:
            raise not_found(f"Could not find the inference profile {identifier}.") from exc

    def _find_by_token(self, request: dict[str, Any], region: str) -> Profile | None:
        """Return the profile created with the request's token, or None."""
        token = request.get("clientRequestToken")
        for profile in self._book.all():
            used = (profile.request or {}).get("clientRequestToken")
            if token is not None and used == token and profile.region == region:
                if self._world.faults.current.behaviour.refuses(profile.request or {}, request):
                    raise conflict("The clientRequestToken was used with other parameters.")
                return profile
        return None

    def _new_profile(self, request: dict[str, Any], region: str) -> Profile:
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
    """Return the system-defined profiles of the Region's geography.

    Their numbers fall as their ids rise: a list with the newest first is sorted by id.
    """
    geography = _GEOGRAPHY_OF.get(region.split("-")[0])
    ids = [f"{geography}.{model_id}" for model_id in listed_model_ids()] if geography else []
    return [_system_profile(name, region, number) for number, name in enumerate(reversed(ids))]


def _system_profile(profile_id: str, region: str, number: int = 0) -> Profile:
    """Return the system-defined profile of an id. Raise ServiceError if no family serves it."""
    ref = resolve(profile_id, region)
    if ":inference-profile/" not in ref.arn:
        raise invalid("The provided inference profile identifier is invalid.")
    name = re.sub(r"[^0-9a-zA-Z]+", " ", profile_id)[:64].strip()
    routes = _routes(profile_id, region)
    return Profile(profile_id, region, name, ref.base_model_id, routes, number)


def _routes(profile_id: str, region: str) -> tuple[str, ...]:
    return _ROUTES.get(profile_id.split(".")[0], (region,))


def _type(profile: Profile) -> str:
    return "SYSTEM_DEFINED" if profile.request is None else "APPLICATION"


def _describe(profile: Profile) -> dict[str, Any]:
    request = profile.request or {}
    created = as_datetime(profile.created_time) if profile.request else None
    return {
        "inferenceProfileName": profile.name,
        "description": request.get("description"),
        "createdAt": created,
        "updatedAt": created,
        "inferenceProfileArn": profile.arn,
        "models": [
            {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{profile.base_model_id}"}
            for region in profile.routes
        ],
        "inferenceProfileId": profile.profile_id,
        "status": "ACTIVE",
        "type": _type(profile),
    }
