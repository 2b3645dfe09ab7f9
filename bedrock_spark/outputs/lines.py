"""Read and write output lines, and read output manifests.

The fallback writes its lines in the format of batch jobs. Lines are split on "\\n" only: other line
separators occur inside real answers. A line that cannot be decoded is reported by its number and
offset, never with its content; its record is then missing. Half a character, which an answer may
end with if it was cut off, does not make a line unreadable: the answer was paid for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bedrock_spark.errors import InvokeError, InvokeRetryableError

# The service tier whose price is not that of the config's other calls.
FLEX_TIER = "flex"


def answer_line(record_id: str, body: bytes, output: bytes, tier: str | None = None) -> bytes:
    """Return the line of an answered record.

    tier: the service tier that answered; it is written down if it is flex
    """
    flex = b',"serviceTier":"flex"' if tier == FLEX_TIER else b""
    return _line(record_id, body, b'"modelOutput":' + output + flex)


def error_line(
    record_id: str, body: bytes, exc: InvokeError, *, may_be_the_accounts: bool = False
) -> bytes:
    """Return the line of a record whose call ended with an error.

    may_be_the_accounts: whether the error may be about the account or the options of the call.
        Then the record may be asked again, whatever the code says
    """
    error = {
        "errorCode": exc.error_code or 500,
        "errorMessage": str(exc),
        "expired": False,
        "retryable": isinstance(exc, InvokeRetryableError),
    }
    if may_be_the_accounts:
        error[_MAY_BE_THE_ACCOUNTS] = True
    return _line(record_id, body, b'"error":' + json.dumps(error, ensure_ascii=False).encode())


def _line(record_id: str, body: bytes, rest: bytes) -> bytes:
    return b'{"recordId":"%b","modelInput":%b,%b}\n' % (record_id.encode(), body, rest)


# A member that only lines of the fallback have; so is serviceTier.
_MAY_BE_THE_ACCOUNTS = "mayBeTheAccounts"

_BOM = b"\xef\xbb\xbf"
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


# There is one per line, and a Struct is made several times as fast as a frozen dataclass.
class OutputRecord(msgspec.Struct, frozen=True, gc=False):
    """One line: a record's answer (its JSON, byte for byte as in the line), or its error.

    is_flex: whether the fallback's flex tier has answered
    """

    record_id: str
    output: bytes | None
    error: RecordError | None
    is_flex: bool = False


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not an output record.

    line: its number, from 1; offset: the byte of the file at which it begins
    """

    line: int
    offset: int
    reason: str


class _NoRecordIdError(Exception):
    """A line has no record id."""


# Made once per line and dropped at once: the garbage collector need not look at it.
class _Line(msgspec.Struct, gc=False):
    recordId: str | int | None = None  # noqa: N815 - the wire's name
    # Raw takes any JSON value, but only if it is not part of a union type.
    modelOutput: msgspec.Raw = msgspec.Raw()  # noqa: N815
    error: dict[str, Any] | str | bool | None = None
    serviceTier: Any = None  # noqa: N815


_DECODER = msgspec.json.Decoder(_Line)


def read_lines(
    data: bytes, first_line: int = 1, first_byte: int = 0
) -> Iterator[OutputRecord | BadLine]:
    """Read an output file, or some whole lines of it. Blank lines are skipped.

    first_line, first_byte: the number of the first line, and the byte of the file at which it
        begins, for messages
    The last line may lack its newline.
    """
    records = _records_of_plain_lines(data)
    return iter(records) if records is not None else _one_by_one(data, first_line, first_byte)


def _one_by_one(data: bytes, number: int, first_byte: int) -> Iterator[OutputRecord | BadLine]:
    start = len(_BOM) if data.startswith(_BOM) and not first_byte else 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end]
        if line.strip():
            yield _record(line, number, first_byte + start)
        number += 1
        start = end + 1


def _records_of_plain_lines(data: bytes) -> list[OutputRecord] | None:
    """Decode all lines at once, which takes a third of the time; None if a line is odd.

    Odd is a line that cannot be decoded or has no record id, and a file that has blank lines.
    """
    try:
        lines = _DECODER.decode_lines(data)
        if len(lines) != data.count(b"\n") + (not data.endswith(b"\n")):
            return None
        return [_as_record(line) for line in lines]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, _NoRecordIdError):
        return None


def _record(line: bytes, number: int, offset: int) -> OutputRecord | BadLine:
    try:
        decoded = _decoded(line)
    except (msgspec.DecodeError, RecursionError) as exc:
        # A plain DecodeError: not JSON. A ValidationError: a member has another type. The name of
        # the error alone is shown: it holds nothing of the line.
        return BadLine(number, offset, f"cannot be decoded ({type(exc).__name__})")
    try:
        return _as_record(decoded)
    except _NoRecordIdError as exc:
        return BadLine(number, offset, str(exc))


def _as_record(decoded: _Line) -> OutputRecord:
    """Return the record of a decoded line.

    Raises _NoRecordIdError, and UnicodeDecodeError if the output is not UTF-8: msgspec does not
    decode a Raw value, so it has not checked that.
    """
    if decoded.recordId is None:
        raise _NoRecordIdError("has no recordId")
    raw = bytes(decoded.modelOutput)
    if not raw.isascii():
        str(raw, "utf-8")
    output = raw if raw not in (b"", b"null") else None
    error = _error(decoded.error)
    if error is None and output is None:
        error = RecordError(None, "the line has neither modelOutput nor error")
    if error is None and output is not None and b'"errorCode"' in output:
        error = _error_inside(output)
    is_flex = decoded.serviceTier == FLEX_TIER
    return OutputRecord(str(decoded.recordId), None if error else output, error, is_flex)


# An escape: a pair of surrogates, a lone surrogate (group 1), or any other escape.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def whole_characters(text: str) -> str:
    """Replace lone surrogate escapes: a column holds UTF-8, which cannot encode them."""
    return replace_half_characters(text.encode()).decode() if "\\u" in text else text


def replace_half_characters(data: bytes) -> bytes:
    """Replace each half of a character in JSON text by the replacement character, U+FFFD.

    Half a character is a lone surrogate escape, or bytes that are not UTF-8. All other text is
    returned unchanged.
    """
    utf8 = data.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], utf8)


def _decoded(line: bytes) -> _Line:
    try:
        decoded = _DECODER.decode(line)
        str(decoded.modelOutput, "utf-8")  # raises the error that _as_record would raise
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _DECODER.decode(replace_half_characters(line))
    return decoded


def _error(value: dict[str, Any] | str | bool | None) -> RecordError | None:
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
        may_be_the_accounts=value.get(_MAY_BE_THE_ACCOUNTS) is True,
    )


def _error_inside(output: bytes) -> RecordError | None:
    """Return the error that some lines have as modelOutput; None if it is an answer."""
    try:
        value = msgspec.json.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return None
    is_error = isinstance(value, dict) and value.get("errorCode") is not None
    return _error(value) if is_error and "errorMessage" in value else None


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


@dataclass(frozen=True)
class OutputManifest:
    """The counts in a batch job's output manifest. Any may be None: the manifest may lack its key.

    total, processed, succeeded, failed: numbers of records
    """

    total: int | None = None
    processed: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None


# Names of image counters in the preview, one per size and steps: outputImgCount512x512pStep50, …
_IMAGE_COUNT = "outputImgCount"


def read_output_manifest(data: bytes) -> OutputManifest | None:
    """Read a manifest.json.out; return None if it is not a JSON object."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return OutputManifest(
        total=_count(values, "totalRecordCount"),
        processed=_count(values, "processedRecordCount"),
        succeeded=_count(values, "successRecordCount"),
        failed=_count(values, "errorRecordCount"),
        input_tokens=_count(values, "inputTokenCount", "inputTextTokenCount"),
        output_tokens=_count(values, "outputTokenCount", "outputTextTokenCount"),
        images=_images(values),
    )


def _images(values: dict[str, Any]) -> int | None:
    """Add up the image counters of all sizes; return None if there are none."""
    counters = [_count(values, name) for name in values if name.startswith(_IMAGE_COUNT)]
    counts = [count for count in counters if count is not None]
    return sum(counts) if counts else None


def _count(values: dict[str, Any], *names: str) -> int | None:
    """Return the first integer under one of the names; None if there is none."""
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
