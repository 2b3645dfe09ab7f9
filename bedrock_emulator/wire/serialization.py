"""Writes results and errors as HTTP replies, in the form that the service model gives."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.wire.service_model import error_statuses


@dataclass(frozen=True)
class HttpReply:
    """An HTTP reply. A body that is not bytes is streamed, chunk by chunk."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Iterable[bytes] = b""


def reply_to(operation: OperationModel, result: dict[str, Any]) -> HttpReply:
    """Return `result` as a reply, each member where the output shape has it: header, payload, JSON.

    `@headers` in the result are further headers, which the service sends but the model lacks.
    """
    shape = operation.output_shape
    status: int = operation.http.get("responseCode", 200)
    extra: list[tuple[str, str]] = result.get("@headers", [])
    if shape is None:
        return HttpReply(status, [("Content-Type", "application/json"), *extra], b"{}")
    payload = shape.serialization.get("payload")
    headers = list(extra)
    body_members: dict[str, Any] = {}
    for name, member in shape.members.items():
        value = result.get(name)
        if value is None:
            continue
        wire_name = member.serialization.get("name", name)
        if member.serialization.get("location") == "header":
            headers.append((wire_name, str(value)))
        elif name != payload:
            body_members[wire_name] = as_json(value, member)
    if payload:
        return HttpReply(status, headers, result[payload])
    headers.append(("Content-Type", "application/json"))
    return HttpReply(status, headers, dump(body_members))


def error_reply(error: ServiceError, request_id: str) -> HttpReply:
    """Return the reply for `error`, with its code in `x-amzn-errortype`.

    The status is that of the service model, 501 for a code that the model does not have.
    """
    status = error_statuses().get(error.code, 501)
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-errortype", error.code),
        ("x-amzn-RequestId", request_id),
    ]
    return HttpReply(status, headers, dump({"message": error.message, **error.fields}))


def as_json(value: Any, shape: Shape) -> Any:
    """Return `value` as JSON types, without the members that the shape does not have."""
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(shape, StructureShape):
        return {
            member.serialization.get("name", name): as_json(value[name], member)
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [as_json(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: as_json(item, shape.value) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value


def dump(value: Any) -> bytes:
    r"""Return compact JSON in UTF-8, with non-ASCII text not escaped, as Bedrock writes it.

    If `value` has a lone surrogate, which UTF-8 cannot encode, all non-ASCII text is escaped
    (`\uXXXX`).
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
