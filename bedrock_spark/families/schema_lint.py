"""The JSON Schemas in a body of any family, and what the model would refuse of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bedrock_spark.families.json_members import at
from bedrock_spark.families.schema_rules import (
    CLAUDE,
    OPEN_WEIGHT,
    SchemaFault,
    SchemaRules,
    schema_faults,
)

_CLAUDE_ID = "anthropic."
# Where a body holds the schema of its answer. The text format of Converse is JSON as text.
_FORMATS: tuple[tuple[tuple[str, ...], SchemaRules | None], ...] = (
    (("output_config", "format", "schema"), CLAUDE),
    (("output_format", "schema"), CLAUDE),
    (("response_format", "json_schema", "schema"), OPEN_WEIGHT),
    (("outputConfig", "textFormat", "structure", "jsonSchema", "schema"), None),
)


@dataclass(frozen=True)
class FoundSchema:
    """A schema in a body.

    place: its key path in the body
    key: its key path below `request`, if the body was built from the options there
    rules: what is taken of it
    """

    place: str
    key: str
    schema: Mapping[str, Any]
    rules: SchemaRules


def schemas_in(body: Mapping[str, Any], bare_model_id: str) -> Iterator[FoundSchema]:
    """Yield the schemas that the service makes a grammar of: of the answer, and of strict tools."""
    own = CLAUDE if bare_model_id.startswith(_CLAUDE_ID) else OPEN_WEIGHT
    for path, rules in _FORMATS:
        schema = _decoded(at(body, *path))
        if schema is not None:
            yield FoundSchema(".".join(path), "schema", schema, rules or own)
    for i, place, tool, path in _tools(body):
        schema = _decoded(at(tool, *path))
        if tool.get("strict") is True and schema is not None:
            where = f"{place}.{'.'.join(path)}"
            yield FoundSchema(where, f"tools[{i}].input_schema", schema, own)


def body_faults(
    body: Mapping[str, Any], bare_model_id: str, *, is_built: bool = False
) -> list[SchemaFault]:
    """Return what the model would refuse of the schemas in a body.

    is_built: whether the body was built from the options of `request`; then the places are the
        keys there, and otherwise those of the body
    """
    faults: list[SchemaFault] = []
    for found in schemas_in(body, bare_model_id):
        root = found.key if is_built else found.place
        faults += (
            SchemaFault(f"{root}.{fault.place}" if fault.place else root, fault.message)
            for fault in schema_faults(found.schema, found.rules)
        )
    return faults


def _decoded(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _tools(
    body: Mapping[str, Any],
) -> Iterator[tuple[int, str, Mapping[str, Any], tuple[str, ...]]]:
    """Yield the tools of a body: the number, the key path, the tool, and the path of its schema."""
    for i, tool in enumerate(_items(body.get("tools"))):
        function = tool.get("function")
        if isinstance(function, Mapping):
            yield i, f"tools[{i}].function", function, ("parameters",)
        else:
            yield i, f"tools[{i}]", tool, ("input_schema",)
    for i, tool in enumerate(_items(at(body, "toolConfig", "tools"))):
        spec = tool.get("toolSpec")
        if isinstance(spec, Mapping):
            yield i, f"toolConfig.tools[{i}].toolSpec", spec, ("inputSchema", "json")


def _items(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, (list, tuple)) else ()
    return [item if isinstance(item, Mapping) else {} for item in items]
