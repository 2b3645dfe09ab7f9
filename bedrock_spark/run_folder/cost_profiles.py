"""The notes of inference profiles that a run has made, so that they are used and deleted again.

    cost-profiles/<place>-0001.json           its ARN; created before a job names it
    cost-profiles/<place>-0001-deleting.json  no later job may name it: it is about to be deleted
    cost-profiles/<place>-0001-deleted.json   it was deleted, after all jobs were settled

A place is a model in a Region. After a deletion the next profile has the next number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bedrock_spark.errors import AlreadyExistsError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

_DELETING, _DELETED = "-deleting.json", "-deleted.json"


@dataclass(frozen=True)
class CostProfile:
    """One profile that a run has made.

    number: of the profile at its place, from 1
    """

    place: str
    number: int
    region: str
    model_id: str
    arn: str


def place_digest(region: str, model_id: str) -> str:
    """Return a short name for a model in a Region: 12 hexadecimal digits."""
    return hashlib.sha256(f"{region}\n{model_id}".encode()).hexdigest()[:12]


def profiles_in_use(storage: Storage) -> list[CostProfile]:
    """Return the profiles that jobs may name: those that nobody has begun to delete."""
    return _profiles_without(storage, (_DELETING, _DELETED))


def profiles_left(storage: Storage) -> list[CostProfile]:
    """Return the profiles that are not known to be deleted."""
    return _profiles_without(storage, (_DELETED,))


def _profiles_without(storage: Storage, facts: tuple[str, ...]) -> list[CostProfile]:
    keys = {stored.key for stored in storage.list(f"{layout.COST_PROFILES}/")}
    return [
        CostProfile(**json.loads(storage.read(key)))
        for key in sorted(keys)
        if not key.endswith((_DELETING, _DELETED))
        and not any(key.removesuffix(".json") + fact in keys for fact in facts)
    ]


def next_number(storage: Storage, place: str) -> int:
    """Return the number of the next profile at a place: one more than were given up there."""
    stored = storage.list(f"{layout.COST_PROFILES}/{place}-")
    return 1 + sum(each.key.endswith(_DELETING) for each in stored)


def note_profile(storage: Storage, profile: CostProfile) -> None:
    """Note a profile before a job names it."""
    _create(storage, layout.cost_profile_key(profile.place, profile.number), asdict(profile))


def note_deleting(storage: Storage, profile: CostProfile) -> None:
    """Note that a profile is about to be deleted, so that no later job names it."""
    _note_fact(storage, profile, _DELETING)


def note_deleted(storage: Storage, profile: CostProfile) -> None:
    """Note that a profile is deleted."""
    _note_fact(storage, profile, _DELETED)


def _note_fact(storage: Storage, profile: CostProfile, fact: str) -> None:
    key = layout.cost_profile_key(profile.place, profile.number)
    _create(storage, key.removesuffix(".json") + fact, {"arn": profile.arn})


def _create(storage: Storage, key: str, values: dict[str, object]) -> None:
    try:
        storage.create(key, json.dumps(values).encode())
    except AlreadyExistsError:
        return  # an earlier try has noted the same
