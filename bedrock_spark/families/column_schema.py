"""The JSON Schema of the columns of `results.parse`, as it is put into requests.

Every column is required, and one that may be null has null among its types: so a model says what it
does not find, and the number of optional properties, which some models limit, is 0. Bounds are left
out, because models refuse them: whether a number fits its column is checked when answers are read.
"""

from __future__ import annotations

from typing import Any

from bedrock_spark.schema import ARRAY, MAP, STRUCT, Field, Kind

_SIMPLE = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    **{name: {"type": "integer"} for name in ("tinyint", "smallint", "int", "bigint")},
    **{name: {"type": "number"} for name in ("float", "double")},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
}


def schema_of_columns(fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return the schema of an object with these columns as its members."""
    return {
        "type": "object",
        "properties": {field.name: _member(field) for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _member(field: Field) -> dict[str, Any]:
    schema = _schema_of(field.kind)
    if not field.required:
        schema = {**schema, "type": [schema["type"], "null"]}
    return {**schema, "description": field.comment} if field.comment else schema


def _schema_of(kind: Kind) -> dict[str, Any]:
    if kind.name == STRUCT:
        return schema_of_columns(kind.fields)
    if kind.name == ARRAY and kind.item is not None:
        return {"type": "array", "items": _schema_of(kind.item)}
    if kind.name == MAP and kind.item is not None:
        return {"type": "object", "additionalProperties": _schema_of(kind.item)}
    return dict(_SIMPLE[kind.name])
