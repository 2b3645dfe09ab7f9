"""Reads the input members of an operation from an HTTP request.

This module only finds each value (in path, query, headers or body) and converts text to numbers and
times. Whether the values are allowed is checked in `validation`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs

from botocore.model import OperationModel, Shape

from bedrock_emulator.errors import invalid


@dataclass(frozen=True)
class HttpRequest:
    """A request as the WSGI server got it: `path` is not decoded, header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def parse(
    operation: OperationModel, uri_params: dict[str, str], request: HttpRequest
) -> dict[str, Any]:
    """Return the input members of `operation`; raises ServiceError if one cannot be read."""
    shape = operation.input_shape
    if shape is None:
        return {}
    query = parse_qs(request.query, keep_blank_values=True)
    payload: str | None = shape.serialization.get("payload")
    params: dict[str, Any] = {}
    json_members = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "uri":
            params[name] = _scalar(name, member, uri_params[wire_name])
        elif location == "querystring" and wire_name in query:
            params[name] = _scalar(name, member, query[wire_name][-1])
        elif location == "header" and wire_name.lower() in request.headers:
            params[name] = _scalar(name, member, request.headers[wire_name.lower()])
        elif name == payload:
            params[name] = request.body
        elif location is None:
            json_members[name] = wire_name
    if json_members and payload is None:
        params.update(_json_members(request.body, json_members))
    return params


def _json_members(body: bytes, members: dict[str, str]) -> dict[str, Any]:
    if not body.strip():
        return {}
    value = load_json(body)
    if not isinstance(value, dict):
        raise invalid("The request body must be a JSON object.")
    return {name: value[wire] for name, wire in members.items() if value.get(wire) is not None}


def load_json(body: bytes | str) -> Any:
    """Decode JSON as the service does; raises ServiceError, also for NaN and too deep nesting."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise invalid(f"The request body is not valid JSON: {exc}") from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _scalar(name: str, shape: Shape, text: str) -> Any:
    if shape.type_name == "boolean":
        # Other text stays text, which the check of the types refuses.
        return {"true": True, "false": False}.get(text, text)
    if shape.type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError as exc:
            raise invalid(f"Value at '{name}' must be a number.") from exc
    if shape.type_name == "timestamp":
        return _timestamp(name, text)
    return text


def _timestamp(name: str, text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError as exc:
        raise invalid(f"Value at '{name}' must be a date and time in ISO 8601.") from exc
    return value if value.tzinfo else value.replace(tzinfo=UTC)
