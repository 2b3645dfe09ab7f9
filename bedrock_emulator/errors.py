"""The one exception that becomes an error reply of the service."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """An error of the service, by the code botocore's service model knows it under.

    `fields` are further members of the error's shape (ModelErrorException has some). The HTTP
    status is not here: it is read from the service model when the reply is written.
    """

    def __init__(self, code: str, message: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, fields)
        self.code = code
        self.message = message
        self.fields = fields or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> ServiceError:
    """Return the ValidationException that says `message`."""
    return ServiceError("ValidationException", message)


def not_found(message: str) -> ServiceError:
    """Return the ResourceNotFoundException that says `message`."""
    return ServiceError("ResourceNotFoundException", message)


def conflict(message: str) -> ServiceError:
    """Return the ConflictException that says `message`."""
    return ServiceError("ConflictException", message)
