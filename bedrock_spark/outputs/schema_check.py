"""Check an answer against the JSON Schema that the config asks for.

The validator is jsonschema-rs, in Rust: an object of two levels takes it about 1.5 microseconds,
and jsonschema, in Python, 130. A reason names a place and a keyword of the schema. It never
contains text of the answer: a name that the schema does not have is shown as `…`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bedrock_spark.config.answer_schema import key_path, schema_validator
from bedrock_spark.outputs.columns import Misfit

_REASONS = {
    "required": "lacks a required member",
    "additionalProperties": "has a member that the schema does not have",
    "unevaluatedProperties": "has a member that the schema does not have",
    "enum": "is none of the values of enum",
    "const": "is not the value of const",
    "anyOf": "fits none of anyOf",
    "oneOf": "does not fit exactly one of oneOf",
}
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
}
_TOO_DEEP = "cannot be checked: it is nested too deeply"


class SchemaCheck:
    """Checks objects against a schema.

    names: the members that the schema gives an answer
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Build the validator. Raises ValueError if the schema is not valid."""
        self.names = frozenset(schema.get("properties", ()))
        self._validator = schema_validator(schema)
        self._known = frozenset(_names(schema))

    def __call__(self, value: Mapping[str, Any]) -> None:
        """Raise Misfit, with the place and the reason, if a value does not fit."""
        try:
            if self._validator.is_valid(value):  # most do; this is the fastest question
                return
            error = next(iter(self._validator.iter_errors(value)), None)
        except (ValueError, RecursionError):
            raise Misfit(_TOO_DEEP) from None
        if error is None:
            return
        place = self._place(error.instance_path)
        reason = self._reason(value, error)
        raise Misfit(f"{place}: {reason}" if place else reason)

    def _place(self, steps: list[str | int]) -> str:
        return key_path([s if isinstance(s, int) or s in self._known else "…" for s in steps])

    def _reason(self, value: Any, error: Any) -> str:
        keyword = next((s for s in reversed(error.schema_path) if isinstance(s, str)), "")
        if keyword == "type":
            for step in error.instance_path:
                value = value[step]
            wanted = " or ".join(getattr(error.kind, "types", ())) or "of another type"
            return f"is {_KINDS.get(type(value), 'null')}, not {wanted}"
        if keyword == "required":
            name = getattr(error.kind, "property", None)
            return f"lacks {name}" if name in self._known else _REASONS[keyword]
        return _REASONS.get(keyword) or f"does not fit {keyword or 'the schema'}"


def _names(value: Any) -> Iterator[str]:
    """Yield the names of members that a schema has, wherever in it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "properties" and isinstance(item, Mapping):
                yield from item
            if key == "required" and isinstance(item, list):
                yield from (name for name in item if isinstance(name, str))
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)
