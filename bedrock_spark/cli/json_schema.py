"""The JSON Schema of what a command prints with --json, made from the type that it prints.

A command names its type by `with_output_options(json_type=…)`. The object of a command that failed
has an `error`, alone or beside the keys of the type.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from operator import or_
from types import UnionType
from typing import Any, get_args

import click
from pydantic import TypeAdapter

from bedrock_spark.cli.display import CommandError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ERROR = {"$ref": "#/$defs/CommandError"}


def printing_commands(group: click.Group, *above: str) -> Iterator[tuple[str, Any]]:
    """Yield the name of every command that has --json, such as `runs`, and the type it prints.

    The type is None if the command does not say it. Commands of a group print one type, and count
    as one, by the name of the group.
    """
    seen = set()
    for name, command in sorted(group.commands.items()):
        found = (
            list(printing_commands(command, *above, name))
            if isinstance(command, click.Group)
            else [(" ".join([*above, name]), _type_of(command))] * _has_json(command)
        )
        for each, kind in found:
            whole = above[0] if above else each
            if whole not in seen:
                seen.add(whole)
                yield whole, kind


def _has_json(command: click.Command) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def _type_of(command: click.Command) -> Any:
    json_type = getattr(command.callback, "json_type", None)
    if isinstance(json_type, str):
        kinds = (each.partition(":") for each in json_type.split(" | "))
        types = [getattr(import_module(module), name) for module, _, name in kinds]
        return reduce(or_, types)
    return json_type


def schema_of(command: str, json_type: Any) -> dict[str, Any]:
    """Return the JSON Schema of what `bedrock-spark COMMAND --json` prints.

    json_type: one type, or a union of several: a config with stages has its own
    """
    kinds = get_args(json_type) if isinstance(json_type, UnionType) else (json_type,)
    definitions = {"CommandError": _schema(CommandError, "#/$defs/{model}")}
    values = {}
    for kind in kinds:
        value = _schema(kind, "#/$defs/{model}")
        definitions |= value.pop("$defs", {})
        values[getattr(kind, "__name__", "Answer")] = value
    for definition in (*values.values(), *definitions.values()):
        if "properties" in definition:  # all keys are always there
            definition["required"] = list(definition["properties"])
            definition["additionalProperties"] = False
    for value in values.values():
        if "properties" in value:
            own = value["properties"].get("error", {"type": "null"})
            value["properties"]["error"] = {"anyOf": [own, _ERROR]}
    definitions |= values
    definitions["Failed"] = {
        "description": "The command failed, and has nothing else to print.",
        "type": "object",
        "properties": {"error": _ERROR},
        "required": ["error"],
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": f"bedrock-spark {command} --json",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in (*values, "Failed")],
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(json_type: Any, template: str) -> dict[str, Any]:
    adapter = TypeAdapter(json_type)
    found: dict[str, Any] = _tidy(adapter.json_schema(mode="serialization", ref_template=template))
    return found


def _tidy(schema: Any) -> Any:
    """Return a schema without what says nothing, which not every version of pydantic writes.

    That is the titles of properties, which repeat their names, and `additionalProperties: true`.
    """
    if isinstance(schema, dict):
        return {key: _tidy(value) for key, value in schema.items() if not _says_nothing(key, value)}
    return [_tidy(item) for item in schema] if isinstance(schema, list) else schema


def _says_nothing(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (
        key == "additionalProperties" and value is True
    )
