"""Values for the shapes of botocore's service model: valid ones, and ones that break one rule."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from tests.models import CLAUDE as CLAUDE
from tests.models import CLAUDE_MODEL as CLAUDE_MODEL

ACCOUNT = "123456789012"

REMOVED = object()  # as a mutation's value: remove the member

# A text for each input pattern, by shape. For a shape of a newer botocore, any text that matches.
EXAMPLES = {
    "ModelInvocationJobName": "job-1",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/batch",
    "ModelInvocationIdempotencyToken": "token-1",
    "ModelId": CLAUDE,
    "AccountId": ACCOUNT,
    "KmsKeyId": "alias/key",
    "SecurityGroupId": "sg-1",
    "SubnetId": "subnet-1",
    "ModelInvocationJobIdentifier": "abcdefghijkl",
    "PaginationToken": "abc",
    "IdempotencyToken": "token-1",
    "ProvisionedModelName": "units",
    "ModelIdentifier": CLAUDE_MODEL,
    "ProvisionedModelId": "units",
    "ModelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}",
    "TaggableResourcesArn": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abcdefghijkl",
    "Provider": "Anthropic",
    "InferenceProfileIdentifier": CLAUDE,
    "InferenceProfileName": "Team A",
    "InferenceProfileDescription": "Team A",
    "InferenceProfileModelSourceArn": f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}",
    "GetFoundationModelIdentifier": CLAUDE_MODEL,
    "BedrockModelId": CLAUDE_MODEL,
    "InvokeModelIdentifier": CLAUDE,
    "ConversationalModelId": CLAUDE,
    "S3Uri": "s3://bucket/key.jsonl",
    "GuardrailIdentifier": "abc",
    "GuardrailVersion": "1",
    "ToolUseId": "tool-1",
    "ToolName": "tool",
    "ProjectIdentifier": "project-1",
}


@dataclass(frozen=True)
class Mutation:
    """A change of the value at `path` that breaks one constraint."""

    path: tuple[str | int, ...]
    constraint: str
    value: Any

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of `params` with the value at `path` set or removed."""
        changed = copy.deepcopy(params)
        holder: Any = changed
        for step in self.path[:-1]:
            holder = holder[step]
        if self.value is REMOVED:
            del holder[self.path[-1]]
        else:
            holder[self.path[-1]] = self.value
        return changed


def example(shape: Shape, seen: tuple[str, ...] = ()) -> Any:
    """Return a valid value with all members set, except members that contain their own shape.

    `seen` holds the names of the shapes around this one.
    """
    if getattr(shape, "is_document_type", False):
        return {"any": 1}
    if isinstance(shape, StructureShape):
        return _structure(shape, (*seen, shape.name))
    if isinstance(shape, ListShape):
        if shape.member.name in seen:
            return []
        size = max(1, int(shape.metadata.get("min", 1)))
        return [example(shape.member, (*seen, shape.name)) for _ in range(size)]
    if isinstance(shape, MapShape):
        return {example(shape.key): example(shape.value, (*seen, shape.name))}
    if isinstance(shape, StringShape):
        return _string(shape)
    low = shape.metadata.get("min", 1)
    values: dict[str, Any] = {
        "integer": low,
        "long": low,
        "float": float(low),
        "double": float(low),
        "boolean": True,
        "timestamp": datetime(2024, 5, 1, tzinfo=UTC),
        "blob": b"x",
    }
    return values[shape.type_name]


def _structure(shape: StructureShape, seen: tuple[str, ...]) -> dict[str, Any]:
    names = [name for name, member in shape.members.items() if member.name not in seen]
    if shape.is_tagged_union:
        names = names[:1]
    return {name: example(shape.members[name], seen) for name in names}


def _string(shape: StringShape) -> str:
    if shape.enum:
        return str(shape.enum[0])
    if shape.name in EXAMPLES:
        return EXAMPLES[shape.name]
    if shape.metadata.get("pattern") and shape.name not in (
        "TagKey",
        "TagValue",
        "RequestMetadataKeyString",
        "RequestMetadataValueString",
    ):
        pattern = re.compile(shape.metadata["pattern"])
        matching = next((text for text in EXAMPLES.values() if pattern.fullmatch(text)), None)
        assert matching is not None, f"EXAMPLES needs a text for the pattern of {shape.name}"
        return matching
    return "x" * max(1, int(shape.metadata.get("min", 1)))


def mutations(
    shape: Shape, path: tuple[str | int, ...] = (), seen: tuple[str, ...] = ()
) -> Iterator[Mutation]:
    """Yield one mutation for each constraint of a shape and of the shapes inside it."""
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        yield from _structure_mutations(shape, path, (*seen, shape.name))
    elif isinstance(shape, ListShape):
        yield from _list_mutations(shape, path, (*seen, shape.name))
    elif isinstance(shape, MapShape):
        yield from _map_mutations(shape, path)
    elif isinstance(shape, StringShape):
        yield from _string_mutations(shape, path)
    else:
        yield from _scalar_mutations(shape, path)


def _structure_mutations(
    shape: StructureShape, path: tuple[str | int, ...], seen: tuple[str, ...]
) -> Iterator[Mutation]:
    if path:
        yield Mutation(path, "type", "not a structure")
    for name in shape.required_members:
        if shape.members[name].serialization.get("location") != "uri":
            yield Mutation((*path, name), "required", REMOVED)
    members = [(n, m) for n, m in shape.members.items() if m.name not in seen]
    if shape.is_tagged_union:
        yield Mutation(path, "union of none", {})
        if len(members) > 1:
            both = {name: example(member, seen) for name, member in members[:2]}
            yield Mutation(path, "union of two", both)
        for name, member in members[1:]:
            alone = {name: example(member, seen)}
            for inner in mutations(member, (name,), seen):
                yield Mutation(path, inner.constraint, inner.apply(alone))
        members = members[:1]
    for name, member in members:
        yield from mutations(member, (*path, name), seen)


def _list_mutations(
    shape: ListShape, path: tuple[str | int, ...], seen: tuple[str, ...]
) -> Iterator[Mutation]:
    yield Mutation(path, "type", {"not": "a list"})
    if shape.member.name in seen:
        return
    item = example(shape.member, seen)
    if shape.metadata.get("min", 0) > 0:
        yield Mutation(path, "min", [item] * (shape.metadata["min"] - 1))
    if "max" in shape.metadata:
        yield Mutation(path, "max", [item] * (shape.metadata["max"] + 1))
    yield from mutations(shape.member, (*path, 0), seen)


def _map_mutations(shape: MapShape, path: tuple[str | int, ...]) -> Iterator[Mutation]:
    yield Mutation(path, "type", ["not a map"])
    if shape.metadata.get("min", 0) > 0:
        yield Mutation(path, "min", {})
    value = example(shape.value)
    if "max" in shape.metadata:
        many = {f"key{number}": value for number in range(shape.metadata["max"] + 1)}
        yield Mutation(path, "max", many)
    for inner in mutations(shape.key, ("key",)):
        if isinstance(inner.value, str):
            yield Mutation(path, f"key {inner.constraint}", {inner.value: value})
    yield from mutations(shape.value, (*path, example(shape.key)))


def _string_mutations(shape: StringShape, path: tuple[str | int, ...]) -> Iterator[Mutation]:
    is_always_text = shape.serialization.get("location") is not None
    if not is_always_text:
        yield Mutation(path, "type", 7)
    if shape.enum:
        yield Mutation(path, "enum", "NoSuchValue")
    if shape.metadata.get("min", 0) > 0 and shape.serialization.get("location") != "uri":
        yield Mutation(path, "min", "")
    if "max" in shape.metadata:
        yield Mutation(path, "max", "a" * (shape.metadata["max"] + 1))
    pattern = shape.metadata.get("pattern", "")
    # [\s\S]* matches every text.
    if pattern and pattern != r"[\s\S]*":
        mismatch = "a b" if pattern in (r"\S*",) else "a\u00e9!|"
        yield Mutation(path, "pattern", mismatch)


def _scalar_mutations(shape: Shape, path: tuple[str | int, ...]) -> Iterator[Mutation]:
    kind = shape.type_name
    if kind != "blob":
        yield Mutation(path, "type", "seven")
    if kind == "blob" and shape.metadata.get("min", 0) > 0:
        yield Mutation(path, "min", b"")
    if kind == "blob" and "max" in shape.metadata:
        yield Mutation(path, "max", b"x" * (shape.metadata["max"] + 1))
    if kind in ("integer", "long", "float", "double"):
        if "min" in shape.metadata:
            yield Mutation(path, "min", shape.metadata["min"] - 1)
        if "max" in shape.metadata:
            yield Mutation(path, "max", shape.metadata["max"] + 1)
