"""What models refuse of a JSON Schema that their answers must fit: a table, and its check.

Sources. Amazon Bedrock user guide, "Get validated JSON results from models", says that a schema
with an unsupported feature is a 400 for each request. Claude: Claude docs, "Structured outputs"
(JSON Schema limitations), whose messages Bedrock returns unchanged: `maxItems` in vercel/ai #17197,
bounds of integers in AgentToolkit/altk-boost #118, the numbers of unions and of optional properties
in vercel/ai #17268, `additionalProperties` in several public records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Keywords whose value is a schema, a list of schemas, or schemas by name.
_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_LIST = ("anyOf", "allOf", "oneOf", "prefixItems")
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SIMPLE = (str, int, float, bool, type(None))

_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTS = ("minLength", "maxLength")
_TO_TEXT = "remove it, and write what it says into the description"


@dataclass(frozen=True)
class SchemaRules:
    """What one kind of request takes of a schema.

    refused: the keywords that it does not take
    is_closed: whether every object must say `additionalProperties: false`; if not, it must not say
        anything else
    max_unions: how many properties may be of several types; None for any number
    max_optional: how many properties may be left out by an answer; None for any number
    """

    refused: tuple[str, ...]
    is_closed: bool
    max_unions: int | None = None
    max_optional: int | None = None


OPEN_WEIGHT = SchemaRules((*_NUMBERS, *_TEXTS), is_closed=False)
CLAUDE = SchemaRules((*_NUMBERS, *_TEXTS, "maxItems"), True, max_unions=16, max_optional=24)


@dataclass(frozen=True)
class SchemaFault:
    """A part of a schema that a model refuses: its key path below the schema, and the reason."""

    place: str
    message: str


def schema_faults(schema: Mapping[str, Any], rules: SchemaRules) -> list[SchemaFault]:
    """Return what a model refuses of a schema, in the schema's order."""
    faults: list[SchemaFault] = []
    unions = optional = 0
    for place, part in _parts(schema, ""):
        faults += (SchemaFault(_below(place, k), m) for k, m in _faults_of(part, rules))
        properties = part.get("properties")
        if isinstance(properties, Mapping):
            required = part.get("required")
            needed = required if isinstance(required, list) else []
            optional += sum(name not in needed for name in properties)
            unions += sum(map(_is_union, properties.values()))
    faults += (
        SchemaFault(place, "contains itself, which a grammar cannot; write it out to a fixed depth")
        for place in _recursive(schema)
    )
    for count, most, what in (
        (unions, rules.max_unions, "may be of several types, null included"),
        (optional, rules.max_optional, "are not required"),
    ):
        if most is not None and count > most:
            faults.append(
                SchemaFault(
                    "",
                    f"has {count} properties that {what}, and this model takes at most {most}; "
                    "make some of them required and of one type (NOT NULL in "
                    "results.parse.columns)",
                )
            )
    return faults


def _faults_of(part: Mapping[str, Any], rules: SchemaRules) -> Iterator[tuple[str, str]]:
    for keyword in rules.refused:
        if keyword in part:
            yield keyword, f"is not supported in the schema of an answer; {_TO_TEXT}"
    least = part.get("minItems")
    if isinstance(least, int) and least > 1:
        yield "minItems", f"must be 0 or 1; {_TO_TEXT}"
    values = part.get("enum")
    if isinstance(values, list) and not all(isinstance(value, _SIMPLE) for value in values):
        yield "enum", "must be texts, numbers, booleans or null"
    more = part.get("additionalProperties")
    if "additionalProperties" in part and more is not False:
        yield (
            "additionalProperties",
            "must be false: names that the schema does not have are not supported; write a list "
            "of {name, value} in place of a map",
        )
    elif rules.is_closed and more is None and _is_object(part):
        yield "additionalProperties", "is missing; write additionalProperties: false"


def _is_object(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    return "properties" in part or kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_union(part: Any) -> bool:
    kind = part.get("type") if isinstance(part, Mapping) else None
    is_list = isinstance(kind, list) and len(kind) > 1
    return is_list or (isinstance(part, Mapping) and bool(part.get("anyOf") or part.get("oneOf")))


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _parts(schema: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every schema inside a schema, itself first, with its key path."""
    if not isinstance(schema, Mapping):
        return
    yield place, schema
    for key, value in schema.items():
        if key in _ONE:
            yield from _parts(value, _below(place, key))
        elif key in _LIST and isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                yield from _parts(item, f"{_below(place, key)}[{i}]")
        elif key in _BY_NAME and isinstance(value, Mapping):
            for name, item in value.items():
                yield from _parts(item, f"{_below(place, key)}.{name}")


def _recursive(schema: Mapping[str, Any]) -> list[str]:
    """Return the places of references that lead to a schema around them.

    Depth-first search for a cycle (https://en.wikipedia.org/wiki/Cycle_(graph_theory)) in the graph
    of the definitions: an edge is a reference inside a definition.
    """
    targets: dict[str, list[tuple[str, str]]] = {}

    def references(pointer: str) -> list[tuple[str, str]]:
        if pointer not in targets:
            place, part = _resolved(schema, pointer)
            targets[pointer] = [
                (_below(at, "$ref"), inner["$ref"])
                for at, inner in _parts(part, place)
                if isinstance(inner.get("$ref"), str)
                # What stands in $defs counts only where something refers to it.
                and (pointer != "#" or not at.startswith(("$defs.", "definitions.")))
            ]
        return targets[pointer]

    found: dict[str, None] = {}
    done: set[str] = set()

    def visit(pointer: str, around: tuple[str, ...]) -> None:
        for place, target in references(pointer):
            if target in around:
                found[place] = None
            elif target not in done:
                visit(target, (*around, target))
        done.add(pointer)

    visit("#", ("#",))
    return list(found)


def _resolved(schema: Mapping[str, Any], pointer: str) -> tuple[str, Any]:
    """Return the key path and the value that a JSON pointer (RFC 6901) leads to."""
    value: Any = schema
    names = []
    for step in pointer.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        names.append(name)
        value = value.get(name) if isinstance(value, Mapping) else None
    return ".".join(names), value
