"""Checks the members of a request (or of a reply) against the service model.

botocore's own validator checks types, `required` and `min` only. The service also checks maximal
lengths and values, patterns, enums, and that a union has exactly one member. All these constraints
are in the model, and all are checked here. The messages have the service's wording.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from bedrock_emulator.errors import invalid

# Linear equivalents of two published patterns that backtrack. The pattern of a job name does so
# exponentially: it can split a run of n dashes in 2^n ways, so 40 dashes and one wrong letter would
# keep Python's matcher busy for hours (https://en.wikipedia.org/wiki/ReDoS). Within the model's
# length limits, the pattern on the right matches the same texts.
_EQUIVALENT_PATTERNS = {
    r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}": r"[a-zA-Z0-9][a-zA-Z0-9+.\-]*",
    r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}": r"[a-zA-Z0-9]+(-+[a-zA-Z0-9]+)*",
}
_MAX_SHOWN_CHARS = 120


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of the model, or its linear equivalent, to be used with `fullmatch`."""
    # The service matches in Java, where `\s` and `\S` know ASCII spaces only.
    return re.compile(_EQUIVALENT_PATTERNS.get(pattern, pattern), re.ASCII)


def check(params: dict[str, Any], shape: Shape | None) -> None:
    """Raise a ValidationException that names every violation of `shape` by `params`."""
    if shape is None:
        return
    messages = list(violations(params, shape, ""))
    if messages:
        plural = "error" if len(messages) == 1 else "errors"
        raise invalid(f"{len(messages)} validation {plural} detected: {'; '.join(messages)}")


def violations(value: Any, shape: Shape, path: str, *, closed: bool = False) -> Iterator[str]:
    """Yield a message for each constraint of `shape` that `value` violates.

    `path` is the place of the value in the request. `closed` also refuses members that the shape
    does not have, as Bedrock does in batch records.
    """
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path, closed)
    elif isinstance(shape, ListShape):
        yield from _list(value, shape, path, closed)
    elif isinstance(shape, MapShape):
        yield from _map(value, shape, path, closed)
    elif isinstance(shape, StringShape):
        yield from _string(value, shape, path)
    else:
        yield from _scalar(value, shape, path)


def _structure(value: Any, shape: StructureShape, path: str, closed: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _failed(path, "Member must be a structure")
        return
    present = {name: item for name, item in value.items() if item is not None}
    for name in shape.required_members:
        if name not in present:
            yield _failed(_join(path, name), "Member must not be null", "null")
    names = [name for name in shape.members if name in present]
    if shape.is_tagged_union and len(names) != 1:
        yield _failed(path, f"Exactly one of {sorted(shape.members)} must be set")
    for name in names:
        yield from violations(present[name], shape.members[name], _join(path, name), closed=closed)
    if closed:
        for name in present.keys() - shape.members.keys():
            yield f"#: extraneous key [{_join(path, name)}] is not permitted"


def _list(value: Any, shape: ListShape, path: str, closed: bool) -> Iterator[str]:
    if not isinstance(value, list):
        yield _failed(path, "Member must be a list")
        return
    yield from _length(len(value), shape, path)
    for index, item in enumerate(value):
        yield from violations(item, shape.member, f"{path}.{index + 1}.member", closed=closed)


def _map(value: Any, shape: MapShape, path: str, closed: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _failed(path, "Member must be a map")
        return
    yield from _length(len(value), shape, path)
    for key, item in value.items():
        yield from violations(key, shape.key, f"{path}.key", closed=closed)
        yield from violations(item, shape.value, f"{path}.{key}", closed=closed)


def _string(value: Any, shape: StringShape, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield _failed(path, "Member must be a string")
        return
    shown = _shown(value, shape)
    if shape.enum and value not in shape.enum:
        yield _failed(path, f"Member must satisfy enum value set: {list(shape.enum)}", shown)
    too_long = list(_length(len(value), shape, path, shown))
    yield from too_long
    pattern = shape.metadata.get("pattern")
    # Length first, so that a pattern is matched only against text of a bounded length.
    if pattern and not too_long and not compiled(pattern).fullmatch(value):
        constraint = f"Member must satisfy regular expression pattern: {pattern}"
        yield _failed(path, constraint, shown)


def _scalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "boolean":
        if not isinstance(value, bool):
            yield _failed(path, "Member must be a boolean")
    elif kind in ("integer", "long"):
        if not isinstance(value, int) or isinstance(value, bool):
            yield _failed(path, "Member must be an integer")
        else:
            yield from _range(value, shape, path)
    elif kind in ("float", "double"):
        if not isinstance(value, int | float) or isinstance(value, bool):
            yield _failed(path, "Member must be a number")
        else:
            yield from _range(value, shape, path)
    elif kind == "timestamp":
        if not isinstance(value, datetime):
            yield _failed(path, "Member must be a timestamp")
    elif kind == "blob":
        yield from _blob(value, shape, path)


def _blob(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except binascii.Error:
            yield _failed(path, "Member must be base64")
            return
    if not isinstance(value, bytes):
        yield _failed(path, "Member must be a blob")
        return
    yield from _length(len(value), shape, path)


def _length(size: int, shape: Shape, path: str, shown: str | None = None) -> Iterator[str]:
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
    if minimum is not None and size < minimum:
        constraint = f"Member must have length greater than or equal to {minimum}"
        yield _failed(path, constraint, shown)
    if maximum is not None and size > maximum:
        yield _failed(path, f"Member must have length less than or equal to {maximum}", shown)


def _range(value: float, shape: Shape, path: str) -> Iterator[str]:
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
    if minimum is not None and value < minimum:
        yield _failed(path, f"Member must have value greater than or equal to {minimum}", value)
    if maximum is not None and value > maximum:
        yield _failed(path, f"Member must have value less than or equal to {maximum}", value)


def _shown(value: str, shape: Shape) -> str | None:
    # Values that the model marks as sensitive (prompts, metadata) are not repeated in a message.
    return None if shape.metadata.get("sensitive") else value[:_MAX_SHOWN_CHARS]


def _failed(path: str, constraint: str, value: object = None) -> str:
    shown = "Value" if value is None else f"Value '{value}'"
    return f"{shown} at '{path or '$'}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
