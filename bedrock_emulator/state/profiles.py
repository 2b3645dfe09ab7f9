"""Inference profiles as values, and the registry of application inference profiles.

The ARN of an application inference profile does not contain its model, so operations that get such
an ARN look the model up here.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

from bedrock_emulator.errors import invalid
from bedrock_emulator.families.model_ids import ModelRef, resolve
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.store import Store

_APPLICATION = ":application-inference-profile/"


@dataclass(frozen=True)
class Profile:
    """One profile, and the Regions it routes to. A system-defined profile has no `request`."""

    profile_id: str
    region: str
    name: str
    base_model_id: str
    routes: tuple[str, ...]
    number: int = 0
    created_time: float = 0.0
    request: dict[str, Any] | None = None

    @property
    def arn(self) -> str:
        kind = "inference-profile" if self.request is None else "application-inference-profile"
        return f"arn:aws:bedrock:{self.region}:{ACCOUNT_ID}:{kind}/{self.profile_id}"


class ProfileRegistry:
    """All application inference profiles by ARN; resolves model ids that may name one.

    `made` is the number of the newest profile.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lock = threading.RLock()
        self._all: dict[str, Profile] = {}
        for _, body in store.documents("profiles"):
            profile = Profile(**{**body, "routes": tuple(body["routes"])})
            self._all[profile.arn] = profile
        self.made = max((profile.number for profile in self._all.values()), default=0)

    def all(self) -> list[Profile]:
        with self.lock:
            return list(self._all.values())

    def get(self, arn: str) -> Profile | None:
        return self._all.get(arn)

    def add(self, profile: Profile) -> None:
        with self.lock:
            self.made = profile.number
            self._all[profile.arn] = profile
            self._store.put("profiles", profile.arn, asdict(profile))

    def remove(self, profile: Profile) -> None:
        with self.lock:
            self._all.pop(profile.arn, None)
            self._store.delete("profiles", profile.arn)

    def resolve(self, model_id: str, region: str) -> ModelRef:
        """Return the model that an id or ARN stands for; a profile stands for its source's model.

        Raises ServiceError if there is no such model or profile.
        """
        if _APPLICATION not in model_id:
            return resolve(model_id, region)
        profile = self.get(model_id)
        if profile is None or profile.region != region:
            raise invalid("The provided model identifier is invalid.")
        base = resolve(profile.base_model_id, region)
        return ModelRef(profile.arn, profile.base_model_id, base.family)
