"""The exception that becomes an error reply of the service, and the one that gets no reply."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """An error of the service. `code` is the name of its shape in botocore's service model.

    `fields` are further members of the error's shape (ModelErrorException has some). The HTTP
    status is not stored here: it is read from the service model when the reply is written.
    """

    def __init__(self, code: str, message: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, fields)
        self.code = code
        self.message = message
        self.fields = fields or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DroppedConnectionError(Exception):
    """The connection of this request must be closed, and gets no reply."""


def invalid(message: str) -> ServiceError:
    """Return a ValidationException with this message."""
    return ServiceError("ValidationException", message)


def not_found(message: str) -> ServiceError:
    """Return a ResourceNotFoundException with this message."""
    return ServiceError("ResourceNotFoundException", message)


def conflict(message: str) -> ServiceError:
    """Return a ConflictException with this message."""
    return ServiceError("ConflictException", message)
