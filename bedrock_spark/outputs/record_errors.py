"""Read the errors of records: why a line has no answer, and whether a retry may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

# Every error in place of a modelOutput has these bytes.
ERROR_INSIDE = b'"errorCode"'
# A member that only lines of the fallback have.
MAY_BE_THE_ACCOUNTS = "mayBeTheAccounts"
_RETRYABLE_CODES = frozenset({408, 424, 429, 500, 502, 503, 504, 529})
_PERMANENT_CODES = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422})
# The column error_code is a 32-bit integer, so a code is below 2^31. A code that is a string has
# fewer than 10 digits.
_CODES_END, _LONGEST_CODE = 2**31, 10
# Some lines have the name of an error in place of its number. The numbers are those of the service
# model of bedrock-runtime.
_CODES_BY_NAME = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why a record was not answered.

    retryable, expired: flags of the service; `retryable` is None if the line does not have it
    may_be_the_accounts: whether it may be about the account or the options of the call, and not
        about this record
    """

    code: int | None
    message: str | None
    retryable: bool | None = None
    expired: bool = False
    may_be_the_accounts: bool = False

    @property
    def is_retryable(self) -> bool:
        """Tell whether a retry may help: by `expired`, else the code, else `retryable`.

        If none of them decides, a retry may help; so it does if the error may be the account's.
        """
        if self.expired or self.may_be_the_accounts:
            return True
        if self.code in _PERMANENT_CODES:
            return False
        if self.code in _RETRYABLE_CODES:
            return True
        return self.retryable is not False


def read_error(value: dict[str, Any] | str | bool | None) -> RecordError | None:
    """Return the error of a line; None if its member `error` holds none."""
    if not value:
        return None  # null, false, "" or {}: no error
    if not isinstance(value, dict):
        return RecordError(None, str(value))
    message = value.get("errorMessage")
    retryable = value.get("retryable")
    return RecordError(
        code=_code(value.get("errorCode")),
        message=message if isinstance(message, str) else None,
        retryable=retryable if isinstance(retryable, bool) else None,
        expired=value.get("expired") is True,
        may_be_the_accounts=value.get(MAY_BE_THE_ACCOUNTS) is True,
    )


def error_inside(output: bytes) -> RecordError | None:
    """Return the error that some lines have as modelOutput; None if it is an answer.

    Such an output holds ERROR_INSIDE.
    """
    try:
        value = msgspec.json.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return None
    is_error = isinstance(value, dict) and value.get("errorCode") is not None
    return read_error(value) if is_error and "errorMessage" in value else None


# The types of error of Anthropic's and OpenAI's APIs, and their status codes. Sources: Claude docs,
# "Errors"; OpenAI's API reference, "Error codes".
_CODES_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# The members that an error of AWS has beside its message.
_WITH_MESSAGE = frozenset({"message", "Message", "__type", "code", "requestId"})


def error_in_place_of_answer(output: Any) -> RecordError | None:
    """Return the error that a decoded modelOutput is, or None if it is none that is known.

    Known are the errors of Anthropic's and OpenAI's APIs, `{"error": {"type": …, "message": …}}`,
    and those of AWS, `{"message": …}`. A kind of error without a known code may pass.
    """
    if not isinstance(output, dict):
        return None
    error = output.get("error")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        name = error.get("type")
        code = _CODES_BY_TYPE.get(name) if isinstance(name, str) else None
        return RecordError(code if code is not None else _code(error.get("code")), error["message"])
    message = output.get("message", output.get("Message"))
    if not isinstance(message, str) or not _WITH_MESSAGE.issuperset(output):
        return None
    kind = output.get("__type", output.get("code"))
    return RecordError(_code(kind.rpartition("#")[2] if isinstance(kind, str) else kind), message)


def _code(value: Any) -> int | None:
    """Return an error's code, or None if it is unknown or too large for the results' column."""
    if isinstance(value, str):
        is_number = value.isdecimal() and len(value) < _LONGEST_CODE
        value = int(value) if is_number else _CODES_BY_NAME.get(value)
    is_code = isinstance(value, int) and not isinstance(value, bool)
    return value if is_code and abs(value) < _CODES_END else None
