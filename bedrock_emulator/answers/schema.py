"""Generate a value that fits a JSON schema: an answer in JSON, or the input of a tool call."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

from bedrock_emulator.answers.filling import Filling
from bedrock_emulator.answers.hints import schema_of_name
from bedrock_emulator.answers.prompt import PromptError

_FORMATS = {
    "date": "2024-05-17",
    "date-time": "2024-05-17T09:30:00Z",
    "time": "09:30:00Z",
    "email": "reader@example.com",
    "uri": "https://example.com/page",
    "uuid": "6f1c2a44-0b1e-4c52-9d7e-3a5b8c7d9e10",
    "ipv4": "192.0.2.10",
}
# How many references and combinations in a row are resolved; optional properties are only filled in
# down to half of this depth.
_MAX_DEPTH = 12
# A schema that branches into itself or asks for a million items would fill the memory: refused.
_MAX_VALUES = 10_000


def fit_schema(schema: dict[str, Any], key: bytes, filling: Filling | None = None) -> Any:
    """Return a value for `schema`: from `filling` if that has one that fits, else chosen by `key`.

    Supported are type, enum, const, properties, required, items, prefixItems, bounds of numbers,
    strings and arrays, multipleOf, format, local $ref, allOf, anyOf and oneOf. No text is generated
    for a `pattern`: the first of its `examples` or its `default` is used. Raise PromptError for an
    invalid schema (for example a `properties` that is a number) or for more than 10,000 values.
    """
    try:
        return _Fitter(schema, key, filling or Filling("")).fit(schema, "$", 0)
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as exc:
        raise PromptError("The JSON schema is invalid.") from exc


class _Fitter:
    def __init__(self, root: dict[str, Any], key: bytes, filling: Filling) -> None:
        self._root = root
        self._key = key
        self._filling = filling
        self._values = 0

    def fit(self, schema: Any, path: str, depth: int) -> Any:
        self._count(1)
        if not isinstance(schema, dict):
            return "text"
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"], path)
        if "pattern" in schema and (schema.get("examples") or "default" in schema):
            return (schema.get("examples") or [schema["default"]])[0]
        kind = self._kind(schema, path)
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._array(schema, path, depth)
        if kind in ("integer", "number"):
            return self._number(schema, path, whole=kind == "integer")
        if kind == "boolean":
            # Options are the name itself and "no": a text about its words makes it true.
            fits = self._filling.choice([_name(path)]) is not None
            return fits or bool(self._pick(path, 2))
        return None if kind == "null" else self._string(schema, path)

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > _MAX_VALUES:
            raise PromptError(f"The JSON schema asks for more than {_MAX_VALUES} values.")

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_MAX_DEPTH):
            if "$ref" in schema:
                rest = {name: value for name, value in schema.items() if name != "$ref"}
                schema = {**self._target(str(schema["$ref"])), **rest}
            elif "allOf" in schema:
                merged = {name: value for name, value in schema.items() if name != "allOf"}
                for subschema in schema["allOf"]:
                    merged = _merge(merged, self._resolved(subschema))
                schema = merged
            elif schema.get("anyOf") or schema.get("oneOf"):
                options = schema.get("anyOf") or schema["oneOf"]
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merge(rest, options[0])
            else:
                break
        return schema

    def _target(self, ref: str) -> dict[str, Any]:
        value: Any = self._root
        for token in ref.removeprefix("#").strip("/").split("/"):
            if token:
                # JSON Pointer (RFC 6901): ~1 is a slash, ~0 a tilde.
                name = token.replace("~1", "/").replace("~0", "~")
                value = value.get(name, {}) if isinstance(value, dict) else {}
        return value if isinstance(value, dict) else {}

    def _kind(self, schema: dict[str, Any], path: str) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((item for item in kind if item != "null"), "null")
        if kind is None:
            if "properties" in schema or path == "$":
                return "object"
            return "array" if "items" in schema else "string"
        return str(kind)

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        # From some depth on only required properties, so that a schema that contains itself ends.
        names = list(properties) if depth < _MAX_DEPTH // 2 else []
        names += [name for name in required if name not in names]
        return {
            name: self.fit(properties.get(name, {"type": "string"}), f"{path}.{name}", depth + 1)
            for name in names
        }

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        prefix = schema.get("prefixItems", [])
        shortest = max(int(schema.get("minItems", 0)), len(prefix))
        longest = int(schema.get("maxItems", max(shortest, 3)))
        self._count(shortest)
        item = schema.get("items", {"type": "string"})
        size = shortest if depth >= _MAX_DEPTH // 2 else min(max(shortest, 1), longest)
        if size == 1 and isinstance(item, dict) and item.get("type") in ("string", "object"):
            size = 1 if "enum" in item else min(longest, self._filling.size(_name(path)))
        items = [*prefix, *[item] * (size - len(prefix))]
        return [self.fit(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]

    def _choice(self, options: list[Any], path: str) -> Any:
        fitting = self._filling.choice(options)
        return options[self._pick(path, len(options)) if fitting is None else fitting]

    def _number(self, schema: dict[str, Any], path: str, *, whole: bool) -> int | float:
        """Return a multiple of `multipleOf` within the bounds, or the lower bound if there is none.

        A missing minimum is 0, or 100 steps below the maximum if that is lower. A missing maximum
        is 100 steps above the minimum. Without `multipleOf`, a number has two decimals.
        """
        step = schema.get("multipleOf")
        low, high = schema.get("minimum"), schema.get("maximum")
        least = step or (1 if whole else 0.01)
        if "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + (least if whole else least / 1024)
        if "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - (least if whole else least / 1024)
        if low is None and high is None and step is None:
            named = schema_of_name(_name(path))
            low, high = named.get("minimum"), named.get("maximum")
        if low is None:
            low = 0 if high is None else min(0, high - 100 * least)
        if high is None:
            high = low + 100 * (1 if step is None else least)
        if step is None:
            given = self._filling.number(_name(path), low, high)
            if given is not None and (not whole or float(given).is_integer()):
                return int(given) if whole else float(given)
        first, last = math.ceil(low / least), math.floor(high / least)
        if last < first:
            return low if not whole else math.ceil(low)
        value = (first + self._pick(path, last - first + 1)) * least
        if whole:
            return int(value)
        return min(max(round(value, 2), low), high) if step is None else float(value)

    def _string(self, schema: dict[str, Any], path: str) -> str:
        form = str(schema.get("format"))
        if form in _FORMATS:
            found = {"date": self._filling.date, "email": self._filling.email,
                     "uri": self._filling.uri}.get(form, lambda: None)()  # fmt: skip
            return found or _FORMATS[form]
        name, place = _name(path), re.findall(r"\[(\d+)\]", path)
        if path.endswith("]"):
            text = self._filling.item(name, int(place[-1]))
        else:
            text = self._filling.string(name, int(place[-1]) if place else None)
        text = text or f"{name} {self._pick(path, 1000)}"
        shortest = int(schema.get("minLength", 0))
        self._count(shortest // 100)  # a hundred characters count as one value
        text = text.ljust(shortest, "x")
        return text[: int(schema.get("maxLength", len(text)))]

    def _pick(self, path: str, options: int) -> int:
        """Draw a number from 0 to `options` - 1 for a path in the value, by a keyed hash."""
        digest = hashlib.blake2b(path.encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big") % options


def _name(path: str) -> str:
    """Return the name of the member at a path: `tags` for `$.tags[0]`."""
    return path.rsplit(".", 1)[-1].strip("$[]0123456789") or "text"


def _merge(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the members of `extra`; their properties and required names add up."""
    merged = {**base, **extra}
    if "properties" in base and "properties" in extra:
        merged["properties"] = {**base["properties"], **extra["properties"]}
    if "required" in base and "required" in extra:
        merged["required"] = [*base["required"], *extra["required"]]
    return merged
