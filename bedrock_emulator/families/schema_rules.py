"""What the service refuses of the JSON schemas in a request: those of answers and of strict tools.

The rules: Amazon Bedrock user guide, "Get validated JSON results from models": a schema with an
unsupported feature is a 400. Claude's messages are recorded in public issues. The messages of
other models, and that of a model without this feature in Converse, are not recorded: they are
written in the same form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bedrock_emulator.families.family import BodyError

_CLAUDE = re.compile(r"anthropic\..+")
# Claude 3 to 4.1, and 4.7 and 4.8, have no output format: vercel/ai #15352 quotes the message.
_CLAUDE_WITHOUT = re.compile(
    r"anthropic\.claude-(v\d|instant|[23]|(opus|sonnet)-4-(2025|1|[78])|(opus|sonnet)-4$).*"
)
_OTHERS_WITHOUT = re.compile(r"(amazon|cohere|meta|ai21)\..+|deepseek\.r1.+")
_BOUNDS = {
    "integer": ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"),
    "number": ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"),
    "string": ("maxLength", "minLength"),
}
_CLAUDE_BOUNDS = {**_BOUNDS, "array": ("maxItems",)}
_NESTED = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_MOST_UNIONS, _MOST_OPTIONAL = 16, 24
_MOST_DEPTH = 64


def check_schemas(model_id: str, body: dict[str, Any], *, is_converse: bool) -> None:
    """Raise BodyError if a model refuses a schema in a request, or takes none."""
    is_claude = _CLAUDE.fullmatch(model_id) is not None
    for place, schema in _formats(body, is_converse=is_converse):
        if is_claude and _CLAUDE_WITHOUT.fullmatch(model_id):
            raise BodyError(f"{place.removesuffix('.schema')}: Extra inputs are not permitted")
        if is_converse and _OTHERS_WITHOUT.fullmatch(model_id):
            raise BodyError(
                "This model doesn't support the outputConfig.textFormat field. "
                "Remove outputConfig.textFormat and try again."
            )
        _check(place, schema, is_claude=is_claude)
    for place, schema in _strict_tools(body):
        _check(place, schema, is_claude=is_claude)


def _formats(body: dict[str, Any], *, is_converse: bool) -> Iterator[tuple[str, Any]]:
    """Yield the schemas of the answer. Claude's messages name its own member in Converse, too."""
    if is_converse:
        text = _at(body, "outputConfig", "textFormat", "structure", "jsonSchema", "schema")
        if text is not None:
            yield "output_config.format.schema", _decoded(text)
        return
    for path in (("output_config", "format"), ("output_format",), ("response_format",)):
        form = _at(body, *path)
        if not isinstance(form, dict) or form.get("type") != "json_schema":
            continue
        if path == ("response_format",):
            yield "response_format.json_schema.schema", _at(form, "json_schema", "schema")
        else:
            yield f"{'.'.join(path)}.schema", form.get("schema")


def _decoded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise BodyError("output_config.format.schema: the schema is not valid JSON") from None


def _strict_tools(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    tools = body.get("tools") or _at(body, "toolConfig", "tools") or []
    for i, item in enumerate(tools if isinstance(tools, list) else []):
        tool = item if isinstance(item, dict) else {}
        tool = tool.get("function") or tool.get("toolSpec") or tool
        if isinstance(tool, dict) and tool.get("strict") is True:
            schema = tool.get("input_schema") or tool.get("parameters")
            yield f"tools.{i}.custom", schema or _at(tool, "inputSchema", "json")


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _check(place: str, schema: Any, *, is_claude: bool) -> None:
    if not isinstance(schema, dict):
        raise BodyError(f"{place}: Input should be an object")
    unions = optional = 0
    for part in _parts(schema, 0):
        _check_part(place, part, is_claude=is_claude)
        members = part.get("properties")
        if isinstance(members, dict):
            required = part.get("required") or []
            optional += sum(name not in required for name in members)
            unions += sum(_is_union(member) for member in members.values())
    if _contains_itself(schema):
        raise BodyError(f"{place}: Too many recursive definitions in schema")
    if is_claude and unions > _MOST_UNIONS:
        raise BodyError(
            f"{place}: Schemas contains too many parameters with union types ({unions} parameters "
            f"with type arrays or anyOf, limit: {_MOST_UNIONS})"
        )
    if is_claude and optional > _MOST_OPTIONAL:
        raise BodyError(
            f"{place}: Schemas contains too many optional parameters ({optional}, "
            f"limit: {_MOST_OPTIONAL})"
        )


def _check_part(place: str, part: dict[str, Any], *, is_claude: bool) -> None:
    kinds = part.get("type")
    bounds = _CLAUDE_BOUNDS if is_claude else _BOUNDS
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        refused = [name for name in bounds.get(str(kind), ()) if name in part]
        if refused:
            noun, verb = ("properties", "are") if len(refused) > 1 else ("property", "is")
            names = ", ".join(refused) if len(refused) > 1 else f"'{refused[0]}'"
            raise BodyError(f"{place}: For '{kind}' type, {noun} {names} {verb} not supported")
        if kind == "array" and int(part.get("minItems") or 0) > 1:
            raise BodyError(
                f"{place}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
            )
        more = part.get("additionalProperties")
        if kind == "object" and more is not False and (is_claude or more is not None):
            must = "'additionalProperties' must be explicitly set to false"
            raise BodyError(f"{place}: For 'object' type, {must}")
    values = part.get("enum")
    if isinstance(values, list) and any(isinstance(value, (dict, list)) for value in values):
        raise BodyError(f"{place}: 'enum' supports strings, numbers, booleans and nulls only")
    reference = part.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        raise BodyError(f"{place}: External $ref references are not supported")


def _is_union(member: Any) -> bool:
    if not isinstance(member, dict):
        return False
    kind = member.get("type")
    return "anyOf" in member or (isinstance(kind, list) and len(kind) > 1)


def _parts(schema: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a schema and all schemas inside it, outermost first."""
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return
    yield schema
    for name in _NESTED:
        members = schema.get(name)
        for member in members.values() if isinstance(members, dict) else ():
            yield from _parts(member, depth + 1)
    for name in _LISTS:
        for item in schema.get(name) or ():
            yield from _parts(item, depth + 1)
    yield from _parts(schema.get("items"), depth + 1)
    yield from _parts(schema.get("additionalProperties"), depth + 1)


def _contains_itself(root: dict[str, Any]) -> bool:
    """Tell whether following references from the root comes back to where it was."""

    def leads_back(part: Any, around: tuple[str, ...]) -> bool:
        # Definitions are looked at where something refers to them.
        own = {k: v for k, v in part.items() if k not in ("$defs", "definitions")}
        for inner in _parts(own, 0):
            reference = inner.get("$ref")
            if not isinstance(reference, str):
                continue
            if reference in around or len(around) > _MOST_DEPTH:
                return True
            target: Any = root
            for step in reference.removeprefix("#").strip("/").split("/"):
                target = _at(target, step) if step else target
            if isinstance(target, dict) and leads_back(target, (*around, reference)):
                return True
        return False

    return leads_back(root, ("#",))
