"""Read and write output lines.

The fallback writes its lines in the format of batch jobs, and notes at the end of each which model
was asked and when: see `Note`. Lines are split on "\\n" only: other line
separators occur inside real answers. A line that cannot be decoded is reported by its number and
offset, never with its content; its record is then missing. Half a character, which an answer may
end with if it was cut off, does not make a line unreadable: the answer was paid for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec

from bedrock_spark.errors import InvokeError, InvokeRetryableError
from bedrock_spark.outputs.record_errors import (
    ERROR_INSIDE,
    MAY_BE_THE_ACCOUNTS,
    RecordError,
    error_inside,
    read_error,
)
from bedrock_spark.prices.call_prices import STANDARD


def answer_line(
    record_id: str, body: bytes, output: bytes, tier: str | None = None, note: bytes = b""
) -> bytes:
    """Return the line of an answered record.

    tier: at which the answer was paid, see `tier_paid`; the standard one is not written down
    note: of the call, see `note_of` in fallback_times.py
    """
    paid = b"" if tier in (None, STANDARD) else b',"serviceTier":"%b"' % str(tier).encode()
    return _line(record_id, body, b'"modelOutput":' + output + paid + note)


def error_line(
    record_id: str,
    body: bytes,
    exc: InvokeError,
    *,
    may_be_the_accounts: bool = False,
    note: bytes = b"",
) -> bytes:
    """Return the line of a record whose call ended with an error.

    note: of the call, see `note_of` in fallback_times.py
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
        error[MAY_BE_THE_ACCOUNTS] = True
    text = json.dumps(error, ensure_ascii=False).encode()
    return _line(record_id, body, b'"error":' + text + note)


def _line(record_id: str, body: bytes, rest: bytes) -> bytes:
    return b'{"recordId":"%b","modelInput":%b,%b}\n' % (record_id.encode(), body, rest)


_BOM = b"\xef\xbb\xbf"


class Note(msgspec.Struct, frozen=True, gc=False):
    """Where an answer is from, if its file does not tell: for lines that this package wrote.

    model_id: the model that was asked; None if the line does not say
    ended_at: when the call ended, in seconds since the epoch
    run_id: the run that asked, if it is another one
    request_digest: of what was asked, if another run did
    guardrail: of the call; None if it had none
    tier: at which the answer was paid
    """

    model_id: str | None = None
    ended_at: float | None = None
    run_id: str | None = None
    request_digest: str | None = None
    guardrail: dict[str, str] | None = None
    tier: str = STANDARD


# There is one per line, and a Struct is made several times as fast as a frozen dataclass.
class OutputRecord(msgspec.Struct, frozen=True, gc=False):
    """One line: a record's answer (its JSON, byte for byte as in the line), or its error.

    note: None if the notes of the file are not read
    """

    record_id: str
    output: bytes | None
    error: RecordError | None
    note: Note | None = None


class AnsweredLines(msgspec.Struct, frozen=True, gc=False):
    """Lines of one file that have an answer each, and nothing else that is read.

    ids: the records; each is there once
    outputs: the answer of each: its JSON, byte for byte as in the line
    notes: the note of each; None if the notes of the file are not read
    """

    ids: list[str]
    outputs: list[bytes]
    notes: list[Note] | None = None

    def records(self) -> Iterator[OutputRecord]:
        """Yield the lines one by one."""
        notes = self.notes if self.notes is not None else repeat(None, len(self.ids))
        for record_id, output, note in zip(self.ids, self.outputs, notes, strict=True):
            yield OutputRecord(record_id, output, None, note=note)


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


# The members of a note are read only from files that this package wrote. Of a batch job's line,
# they would be what somebody else means by them, and cost time.
class _NotedLine(_Line, gc=False):
    serviceTier: Any = None  # noqa: N815
    modelId: Any = None  # noqa: N815
    endedAt: Any = None  # noqa: N815
    runId: Any = None  # noqa: N815
    requestDigest: Any = None  # noqa: N815
    guardrail: Any = None

    def note(self) -> Note:
        ended_at = self.endedAt
        return Note(
            _text(self.modelId),
            float(ended_at) if isinstance(ended_at, int | float) else None,
            _text(self.runId),
            _text(self.requestDigest),
            self.guardrail if isinstance(self.guardrail, dict) else None,
            _text(self.serviceTier) or STANDARD,
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


_DECODER = msgspec.json.Decoder(_Line)
_NOTED_DECODER = msgspec.json.Decoder(_NotedLine)


def read_lines(
    data: bytes, first_line: int = 1, first_byte: int = 0, *, has_notes: bool = False
) -> Iterator[OutputRecord | BadLine]:
    """Read an output file, or some whole lines of it. Blank lines are skipped.

    first_line, first_byte: the number of the first line, and the byte of the file at which it
        begins, for messages
    has_notes: whether this package wrote the file, so that its notes are read
    The last line may lack its newline.
    """
    lines = _decode_at_once(data, data.count(b"\n"), has_notes)
    records = _as_records(lines) if lines is not None else None
    if records is not None:
        return iter(records)
    return _one_by_one(data, first_line, first_byte, has_notes)


def read_many(
    data: bytes,
    newlines: int,
    first_line: int = 1,
    first_byte: int = 0,
    *,
    has_notes: bool = False,
) -> Iterator[OutputRecord | BadLine | AnsweredLines]:
    """Read what `read_lines` reads. Most answers come together, which takes a fifth of the time.

    newlines: their number in the data
    The others come one by one: errors, and what is around an odd line.
    """
    lines = _decode_at_once(data, newlines, has_notes)
    found = _answered_and_others(lines) if lines is not None else None
    if found is None:
        yield from _one_by_one(data, first_line, first_byte, has_notes)
        return
    answered, others = found
    if answered.ids:
        yield answered
    yield from others


def _answered_and_others(
    lines: Sequence[_Line],
) -> tuple[AnsweredLines, list[OutputRecord]] | None:
    """Return the answers and the other records, or None if they must be read one by one."""
    answered, others = (
        lines,
        [line for line in lines if line.error or type(line.recordId) is not str],
    )
    if others:
        rare = set(map(id, others))
        answered = [line for line in lines if id(line) not in rare]
    ids = [line.recordId for line in answered]
    outputs = [bytes(line.modelOutput) for line in answered]
    records = _as_records(others)
    if records is None or not _are_answers(outputs):
        return None
    if len({*ids, *(record.record_id for record in records)}) < len(lines):
        return None  # of two lines of one record, the order may count
    is_noted = bool(answered) and isinstance(answered[0], _NotedLine)
    notes = [line.note() for line in answered if isinstance(line, _NotedLine)] if is_noted else None
    return AnsweredLines(ids, outputs, notes), records  # type: ignore[arg-type]  # all are texts


def _are_answers(outputs: list[bytes]) -> bool:
    """Tell whether all outputs are there, may be no error, and are UTF-8."""
    if b"" in outputs or b"null" in outputs:
        return False
    # One search in all of them: half a character cannot become a whole one at a joint.
    joined = b"\n".join(outputs)
    try:
        if not joined.isascii():
            str(joined, "utf-8")
    except UnicodeDecodeError:
        return False
    return ERROR_INSIDE not in joined


def _one_by_one(
    data: bytes, number: int, first_byte: int, has_notes: bool = False
) -> Iterator[OutputRecord | BadLine]:
    start = len(_BOM) if data.startswith(_BOM) and not first_byte else 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end]
        if line.strip():
            yield _record(line, number, first_byte + start, has_notes)
        number += 1
        start = end + 1


def _decode_at_once(data: bytes, newlines: int, has_notes: bool) -> Sequence[_Line] | None:
    """Decode all lines at once, which takes a third of the time; None if a line is odd.

    Odd is a line that cannot be decoded, and a file that has blank lines.
    """
    try:
        lines = _decoder(has_notes).decode_lines(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    is_whole = len(lines) == newlines + (not data.endswith(b"\n"))
    return lines if is_whole else None


def _decoder(has_notes: bool) -> msgspec.json.Decoder[_Line] | msgspec.json.Decoder[_NotedLine]:
    return _NOTED_DECODER if has_notes else _DECODER


def _as_records(lines: Sequence[_Line]) -> list[OutputRecord] | None:
    """Return the records of decoded lines; None if a line has no record id or half a character."""
    try:
        return [_as_record(line) for line in lines]
    except (UnicodeDecodeError, _NoRecordIdError):
        return None


def _record(line: bytes, number: int, offset: int, has_notes: bool) -> OutputRecord | BadLine:
    try:
        decoded = _decoded(line, has_notes)
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
    error = read_error(decoded.error)
    if error is None and output is None:
        error = RecordError(None, "the line has neither modelOutput nor error")
    if error is None and output is not None and ERROR_INSIDE in output:
        error = error_inside(output)
    note = decoded.note() if isinstance(decoded, _NotedLine) else None
    return OutputRecord(str(decoded.recordId), None if error else output, error, note)


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


def _decoded(line: bytes, has_notes: bool) -> _Line:
    decoder = _decoder(has_notes)
    try:
        decoded = decoder.decode(line)
        str(decoded.modelOutput, "utf-8")  # raises the error that _as_record would raise
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decoder.decode(replace_half_characters(line))
    return decoded
