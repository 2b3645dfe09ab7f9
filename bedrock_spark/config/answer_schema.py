"""Check a JSON Schema that a config holds or names, and read the file that it names.

What is checked here holds for every model: that it is a JSON Schema (draft 2020-12), that its
validator can be built without network, and that it describes an object. What single models refuse
of a schema: families/schema_rules.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from bedrock_spark.config.base import check_json
from bedrock_spark.s3_spelling import as_s3

# `request.schema` in one word.
COLUMNS, NONE = "columns", "none"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_PLACEHOLDER = re.compile(r"\{[{%#]")


def schema_validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a schema. Formats such as `date` are checked, too.

    Raises ValueError if the schema is not valid. Nothing is fetched.
    """
    return jsonschema_rs.Draft202012Validator(
        dict(schema), validate_formats=True, retriever=_fetch_nothing
    )


def _fetch_nothing(uri: str) -> Any:
    raise ValueError("a schema is not fetched")


def check_schema(schema: dict[str, Any]) -> None:
    """Raise ValueError that names the first fault and its key path."""
    check_json(schema, "")
    try:
        jsonschema_rs.meta.validate({**schema, "$schema": _DRAFT})
    except jsonschema_rs.ValidationError as exc:
        place = key_path(exc.instance_path)
        keyword = next((str(p) for p in reversed(exc.instance_path) if isinstance(p, str)), "")
        hint = f": {_TYPES}" if keyword == "type" else ""
        raise ValueError(
            f"is no JSON Schema: {place or 'it'} is not what the keyword {keyword or 'there'} "
            f"takes{hint}"
        ) from None
    for place, text in _texts(schema):
        if _PLACEHOLDER.search(text):
            raise ValueError(
                f"has a placeholder at {place}, and a schema is the same for every row; write "
                "values of a row into request.prompt"
            )
        if place.endswith("$ref") and text != "$ref" and not text.startswith("#"):
            raise ValueError(
                f"refers to another document at {place}, and nothing is fetched; write it into "
                "$defs, and refer to it as #/$defs/NAME"
            )
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise ValueError(
            "must describe an object: write type: object and its properties; a list goes into one "
            "of the properties"
        )
    try:
        schema_validator(schema)
    except ValueError as exc:
        first = (str(exc).splitlines() or [""])[0]
        raise ValueError(f"is a JSON Schema that cannot be used: {first}") from None


_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = "array, boolean, integer, null, number, object, string, or a list of these"


def key_path(steps: list[str | int]) -> str:
    """Return a place in a JSON value as `a.b[0].c`; "" for the value itself."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text and every key of a JSON value with its key path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            path = f"{place}.{key}" if place else str(key)
            yield path, str(key)
            yield from _texts(item, path)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _texts(item, f"{place}[{i}]")
    elif isinstance(value, str):
        yield place, value


def with_schema_file(
    values: dict[str, Any], folder: str, read: Callable[[str], bytes]
) -> tuple[dict[str, Any], str | None]:
    """Return the values of a config with the JSON Schema that `request.schema` names in its place.

    folder: what a relative path starts from, without a slash at its end; "" for the working folder
    read: returns the bytes of a file, or raises OSError
    Returns what is wrong with the file as the second value; then the key is left out.
    """
    request = values.get("request")
    name = request.get("schema") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(name, str) or name in (COLUMNS, NONE):
        return values, None
    rest = {key: value for key, value in request.items() if key != "schema"}
    try:
        return {**values, "request": {**rest, "schema": _read(name, folder, read)}}, None
    except ValueError as exc:
        return {**values, "request": rest}, str(exc)


def _read(name: str, folder: str, read: Callable[[str], bytes]) -> dict[str, Any]:
    if not name.endswith(".json"):
        raise ValueError(
            f"must be a JSON Schema, the path of a .json file, {COLUMNS} (the columns of "
            f"results.parse) or {NONE}"
        )
    path = as_s3(name.removeprefix("file://"))
    if _URI.match(path) and not path.startswith("s3://"):
        raise ValueError(
            "is neither a local file nor an object of S3; copy the file, or write the schema into "
            "the config"
        )
    is_relative = not path.startswith(("/", "s3://"))
    path = f"{folder}/{path}" if folder and is_relative else path
    try:
        value = json.loads(read(path).decode())
    except OSError as exc:
        raise ValueError(f"cannot be read: {path}: {exc.strerror or exc}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"is not JSON in UTF-8: {path}") from None
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object: {path}")  # noqa: TRY004 - of the config
    return value
