"""Tags of resources by ARN: TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bedrock_emulator.errors import ServiceError, invalid, not_found
from bedrock_emulator.state.store import Store

_MAX_TAGS = 50  # https://docs.aws.amazon.com/bedrock/latest/userguide/tagging.html


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return a request's tags as a dict; raises ValidationException if a key is there twice."""
    by_key = {tag["key"]: tag["value"] for tag in tags}
    if len(by_key) != len(tags):
        raise invalid("Duplicate tag keys found. Tag keys must be unique.")
    return by_key


def check_tag_count(tags: dict[str, str]) -> None:
    """Raise TooManyTagsException if a new resource would have more than 50 tags."""
    if len(tags) > _MAX_TAGS:
        raise _too_many("the new resource")


def _too_many(arn: str) -> ServiceError:
    return ServiceError(
        "TooManyTagsException",
        f"A resource has at most {_MAX_TAGS} tags.",
        {"resourceName": arn},
    )


class TagRegistry:
    """Tags by ARN, and the three operations on them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._tags: dict[str, dict[str, str]] = dict(store.documents("tags"))
        self._exist_checks: list[Callable[[str], bool]] = []

    def register(self, exists: Callable[[str], bool]) -> None:
        """Add a type of resource: `exists(arn)` returns whether there is such a resource."""
        self._exist_checks.append(exists)

    def put(self, arn: str, tags: dict[str, str]) -> None:
        """Set all tags of a resource."""
        with self._lock:
            self._tags[arn] = dict(tags)
            self._store.put("tags", arn, self._tags[arn])

    def drop(self, arn: str) -> None:
        with self._lock:
            self._tags.pop(arn, None)
            self._store.delete("tags", arn)

    def tag(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._check_exists(params["resourceARN"])
        merged = {**self._tags.get(arn, {}), **tag_map(params["tags"])}
        if len(merged) > _MAX_TAGS:
            raise _too_many(arn)
        self.put(arn, merged)
        return {}

    def untag(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._check_exists(params["resourceARN"])
        left = {k: v for k, v in self._tags.get(arn, {}).items() if k not in params["tagKeys"]}
        self.put(arn, left)
        return {}

    def list(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._check_exists(params["resourceARN"])
        tags = self._tags.get(arn, {})
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _check_exists(self, arn: str) -> str:
        """Return `arn`; raises ResourceNotFoundException if no resource has it."""
        if not any(exists(arn) for exists in self._exist_checks):
            raise not_found(f"The resource {arn} could not be found.")
        return arn
