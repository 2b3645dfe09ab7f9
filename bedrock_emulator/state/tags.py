"""Tags of whatever has an ARN here: TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bedrock_emulator.errors import ServiceError, invalid, not_found
from bedrock_emulator.state.store import Store

_MOST = 50  # https://docs.aws.amazon.com/bedrock/latest/userguide/tagging.html


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return key and value of a request's tags; ValidationException if a key is there twice."""
    found = {tag["key"]: tag["value"] for tag in tags}
    if len(found) != len(tags):
        raise invalid("Duplicate tag keys found. Tag keys must be unique.")
    return found


def check_tag_count(tags: dict[str, str]) -> None:
    """Raise TooManyTagsException if a new resource would have more tags than one may have."""
    if len(tags) > _MOST:
        raise _too_many("the new resource")


def _too_many(arn: str) -> ServiceError:
    return ServiceError(
        "TooManyTagsException",
        f"A resource has at most {_MOST} tags.",
        {"resourceName": arn},
    )


class TagBook:
    """Tags by ARN, and the three operations on them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._tags: dict[str, dict[str, str]] = dict(store.documents("tags"))
        self._exists: list[Callable[[str], bool]] = []

    def register(self, exists: Callable[[str], bool]) -> None:
        """Add a kind of resource: `exists` says whether an ARN is one of them."""
        self._exists.append(exists)

    def put(self, arn: str, tags: dict[str, str]) -> None:
        """Set the tags a resource is created with."""
        with self._lock:
            self._tags[arn] = dict(tags)
            self._store.put("tags", arn, self._tags[arn])

    def drop(self, arn: str) -> None:
        with self._lock:
            self._tags.pop(arn, None)
            self._store.delete("tags", arn)

    def tag(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._known(params["resourceARN"])
        merged = {**self._tags.get(arn, {}), **tag_map(params["tags"])}
        if len(merged) > _MOST:
            raise _too_many(arn)
        self.put(arn, merged)
        return {}

    def untag(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._known(params["resourceARN"])
        left = {k: v for k, v in self._tags.get(arn, {}).items() if k not in params["tagKeys"]}
        self.put(arn, left)
        return {}

    def list(self, params: dict[str, Any], _region: str) -> dict[str, Any]:
        arn = self._known(params["resourceARN"])
        tags = self._tags.get(arn, {})
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _known(self, arn: str) -> str:
        if not any(exists(arn) for exists in self._exists):
            raise not_found(f"The resource {arn} could not be found.")
        return arn
