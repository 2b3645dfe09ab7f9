"""Output lines and output manifests: every answer is read, and nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.lines import (
    AnsweredLines,
    BadLine,
    OutputRecord,
    answer_line,
    read_lines,
    read_many,
    replace_half_characters,
)
from bedrock_spark.outputs.output_manifest import OutputManifest, read_output_manifest
from bedrock_spark.outputs.record_errors import RecordError
from tests.unit.fakes import DATA

GOOD = b'{"recordId":"a","modelInput":{},"modelOutput":{"t":1}}'


def read_record(line: bytes | str) -> OutputRecord:
    """Read one line that must be a record."""
    (record,) = read_lines(line if isinstance(line, bytes) else line.encode())
    assert isinstance(record, OutputRecord), record
    return record


def read_bad_line(line: bytes | str) -> BadLine:
    """Read one line that must be unreadable."""
    (bad_line,) = read_lines(line if isinstance(line, bytes) else line.encode())
    assert isinstance(bad_line, BadLine), bad_line
    return bad_line


def read_error(error: Any) -> RecordError:
    """Read the error of a line whose member `error` has this value."""
    record_error = read_record(json.dumps({"recordId": "a", "error": error})).error
    assert record_error is not None
    return record_error


def test_published_lines_are_read() -> None:
    """A recorded line, the example of the AWS docs, a Converse line, an error in modelOutput."""
    claude = read_record((DATA / "claude3_haiku_line.jsonl.out").read_bytes())
    assert (claude.record_id, claude.error) == ("meta_Appliances_0_0", None)
    assert "Держатель" in (claude.output or b"").decode()
    answered, failed = read_lines((DATA / "docs_success_and_error.jsonl.out").read_bytes())
    assert isinstance(answered, OutputRecord)
    assert isinstance(failed, OutputRecord)
    assert (answered.record_id, answered.error) == ("3223593EFGH", None)
    assert failed == OutputRecord("1223213ABCD", None, RecordError(400, "bad request"))
    converse = read_record((DATA / "converse_null_members.jsonl.out").read_bytes())
    assert (converse.record_id, converse.error) == ("rec_000266", None)
    inside = read_record((DATA / "error_inside_model_output.jsonl.out").read_bytes())
    assert inside.error == RecordError(400, "URL sources are not supported", retryable=False)
    assert inside.output is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"modelInput":{},"modelOutput":{"t":1},"recordId":"a"}',
        b'{"modelOutput":{"t":1},"recordId":"a"}',
        b'{ "recordId" : "a" , "modelInput" : { } , "modelOutput" : {"t":1} }',
        b'\t{"recordId":"a",\r "modelOutput":{"t":1}}  ',
        b'{"recordId":"a","modelOutput":{"t":1},"error":null}',
        b'{"recordId":"a","modelOutput":{"t":1},"somethingNew":[1,{"x":2}]}',
        b'{"recordId":"a","modelInput":null,"modelOutput":{"t":1}}',
    ],
)
def test_keys_may_be_in_any_order_with_any_white_space(line: bytes) -> None:
    """Null members and unknown members are ignored."""
    assert read_record(line) == OutputRecord("a", b'{"t":1}', None)


@pytest.mark.parametrize(
    "data",
    [
        GOOD + b"\n" + GOOD + b"\n",
        GOOD + b"\n" + GOOD,
        b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD + b"\n",
        GOOD + b"\r\n" + GOOD + b"\r\n",
        b"\n\n" + GOOD + b"\n  \n\r\n" + GOOD + b"\n\n",
    ],
)
def test_line_ends_and_blank_lines_do_not_matter(data: bytes) -> None:
    """Such as a last line without a newline, a BOM, CRLF and blank lines."""
    assert list(read_lines(data)) == [read_record(GOOD), read_record(GOOD)]


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\n"])
def test_a_file_without_lines_has_none(data: bytes) -> None:
    """A job without answers may write such a file."""
    assert list(read_lines(data)) == []


@pytest.mark.parametrize(
    "separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"]
)
def test_only_a_newline_ends_a_line(separator: str) -> None:
    """Real answers contain U+0085 and U+2028; str.splitlines() would split lines there."""
    if separator < " ":  # JSON requires an escape, which is no separator either
        separator = json.dumps(separator)[1:-1]
    line = f'{{"recordId":"a","modelOutput":{{"t":"one{separator}two"}}}}\n'
    record = read_record(line)
    assert json.loads(record.output or b"")["t"] == json.loads(f'"one{separator}two"')


def test_the_bytes_of_an_answer_are_kept() -> None:
    """Digits, spaces, escapes and the order of keys stay as the model wrote them."""
    output = b'{ "n": 1.10, "big": 123456789012345678901234567890, "s": "\\u00e9\\/", "a": [ ] }'
    assert read_record(b'{"recordId":"a","modelOutput":' + output + b"}").output == output


@given(st.text(), st.text(min_size=1))
def test_any_text_is_read_as_it_was_written(text: str, record_id: str) -> None:
    """As an answer, with non-ASCII characters escaped or raw."""
    for ascii_only in (True, False):
        value = {"recordId": record_id, "modelInput": {"p": text}, "modelOutput": {"t": text}}
        line = json.dumps(value, ensure_ascii=ascii_only)
        record = read_record(line.encode() + b"\n")
        assert (record.record_id, record.error) == (record_id, None)
        assert msgspec.json.decode(record.output or b"") == {"t": text}


ERRORS = [
    (
        {"errorCode": 400, "errorMessage": "no"},
        RecordError(400, "no"),
        False,
    ),
    ({"errorCode": 403, "errorMessage": "no"}, RecordError(403, "no"), False),
    ({"errorCode": 429, "errorMessage": "slow"}, RecordError(429, "slow"), True),
    ({"errorCode": 408, "errorMessage": "late"}, RecordError(408, "late"), True),
    ({"errorCode": 424, "errorMessage": "model"}, RecordError(424, "model"), True),
    ({"errorCode": 500, "errorMessage": "x"}, RecordError(500, "x"), True),
    ({"errorCode": 503, "errorMessage": "x"}, RecordError(503, "x"), True),
    ({"errorCode": "429", "errorMessage": "x"}, RecordError(429, "x"), True),
    ({"errorCode": "ThrottlingException"}, RecordError(429, None), True),
    ({"errorCode": "ValidationException"}, RecordError(400, None), False),
    ({"errorCode": "ModelTimeoutException"}, RecordError(408, None), True),
    ({"errorCode": "SomethingNew"}, RecordError(None, None), True),
    ({"errorCode": "²"}, RecordError(None, None), True),
    ({"errorCode": 10**12}, RecordError(None, None), True),
    ({"errorCode": "9" * 5000}, RecordError(None, None), True),
    ({"errorCode": True}, RecordError(None, None), True),
    ({"errorCode": None}, RecordError(None, None), True),
    ({"errorCode": 418, "retryable": False}, RecordError(418, None, False), False),
    ({"errorCode": 418, "retryable": True}, RecordError(418, None, True), True),
    ({"errorCode": 418}, RecordError(418, None), True),
    ({"errorCode": 400, "retryable": True}, RecordError(400, None, True), False),
    ({"errorCode": 400, "expired": True}, RecordError(400, None, None, True), True),
    ({"errorCode": 400, "expired": False}, RecordError(400, None), False),
    ({"errorCode": 429, "retryable": False}, RecordError(429, None, False), True),
    ({"errorMessage": 7, "retryable": "yes"}, RecordError(None, None), True),
    ("just text", RecordError(None, "just text"), True),
    (True, RecordError(None, "True"), True),
]


@pytest.mark.parametrize("error", [None, False, "", {}])
def test_an_empty_error_beside_an_answer_is_no_error(error: Any) -> None:
    """It has no content, and the answer beside it was paid for."""
    line = json.dumps({"recordId": "a", "modelOutput": {"t": 1}, "error": error}).encode()
    record = read_record(line)
    assert record.error is None
    assert msgspec.json.decode(record.output or b"") == {"t": 1}


@pytest.mark.parametrize(("error", "expected", "is_retryable"), ERRORS)
def test_errors_are_classified(error: Any, expected: RecordError, is_retryable: bool) -> None:
    """A code is a number or a name. Expired records may always be asked again.

    Of the known 4xx codes only 408, 424 and 429 are retryable.
    """
    record_error = read_error(error)
    assert record_error == expected
    assert record_error.is_retryable is is_retryable


def test_an_error_beside_an_answer_is_an_error() -> None:
    """A record that the service calls failed never counts as answered."""
    record = read_record(b'{"recordId":"a","modelOutput":{"t":1},"error":{"errorCode":500}}')
    assert record == OutputRecord("a", None, RecordError(500, None))


@pytest.mark.parametrize(
    "output",
    [
        {"errorCode": None, "errorMessage": None, "text": "fine"},
        {"text": 'they said {"errorCode": 400, "errorMessage": "x"}'},
        {"content": [{"errorCode": 400, "errorMessage": "x"}]},
        {"errorCode": 0},
        ["errorCode", "errorMessage"],
    ],
)
def test_an_answer_that_mentions_errors_is_an_answer(output: Any) -> None:
    """An error is an object that has both errorCode and errorMessage, at its top level."""
    record = read_record(json.dumps({"recordId": "a", "modelOutput": output}))
    assert record.error is None
    assert json.loads(record.output or b"") == output


@pytest.mark.parametrize(
    "line",
    [
        '{"recordId":"a"}',
        '{"recordId":"a","modelOutput":null}',
        '{"recordId":"a","modelOutput":null,"error":null}',
        '{"recordId":"a","modelInput":{"modelOutput":{}}}',
    ],
)
def test_a_line_with_neither_answer_nor_error_may_be_asked_again(line: str) -> None:
    """It is not an answer, and nothing says that the error is permanent."""
    record = read_record(line)
    assert record.output is None
    assert record.error == RecordError(None, "the line has neither modelOutput nor error")
    assert record.error.is_retryable


@pytest.mark.parametrize("output", ["0", "false", '""', "[]", "{}", '"text"'])
def test_an_answer_may_be_any_json_except_null(output: str) -> None:
    """Values that are false in Python are answers too."""
    record = read_record(f'{{"recordId":"a","modelOutput":{output}}}')
    assert (record.output, record.error) == (output.encode(), None)


@pytest.mark.parametrize(
    ("written", "expected"), [("17", "17"), ('"17"', "17"), ("0", "0"), ('""', "")]
)
def test_a_record_id_that_is_a_number_is_read_as_text(written: str, expected: str) -> None:
    """Some writers do not quote record ids."""
    assert read_record(f'{{"recordId":{written},"modelOutput":{{}}}}').record_id == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"modelInput":{},"modelOutput":{"t":"SECRET"}}', "has no recordId"),
        ('{"recordId":null,"modelOutput":{"t":"SECRET"}}', "has no recordId"),
        ('{"recordId":["SECRET"],"modelOutput":{}}', "cannot be decoded (ValidationError)"),
        ('{"recordId":1.5,"modelOutput":{}}', "cannot be decoded (ValidationError)"),
        ('{"recordId":"a","error":["SECRET"]}', "cannot be decoded (ValidationError)"),
        ('["SECRET"]', "cannot be decoded (ValidationError)"),
        ('"SECRET"', "cannot be decoded (ValidationError)"),
        ("SECRET", "cannot be decoded (DecodeError)"),
        ('{"recordId":"a","modelOutput":{"t":"SECR', "cannot be decoded (DecodeError)"),
        ('{"recordId":"a","modelOutput":{"t":"SECRET"}', "cannot be decoded (DecodeError)"),
        (GOOD.decode() + GOOD.decode(), "cannot be decoded (DecodeError)"),
        ('{"recordId":"a","modelOutput":' + 9_000 * "[", "cannot be decoded (RecursionError)"),
    ],
)
def test_a_bad_line_has_a_reason_that_shows_nothing_of_the_line(line: str, reason: str) -> None:
    """Reports show the reason, so no word of the line may be in it."""
    assert read_bad_line(line) == BadLine(1, 0, reason)


def test_a_bad_line_has_its_place() -> None:
    """The number of the line, counting blank lines, and the byte at which it begins."""
    data = b"\xef\xbb\xbf" + GOOD + b"\n\nnot json\n" + GOOD + b"\n" + GOOD[:-5]
    third, last = (r for r in read_lines(data) if isinstance(r, BadLine))
    assert (third.line, data[third.offset :][:8]) == (3, b"not json")
    assert (last.line, data[last.offset :]) == (5, GOOD[:-5])


def test_a_truncated_file_loses_only_its_last_line() -> None:
    """Every line before that is read."""
    data = GOOD + b"\n" + GOOD + b"\n" + GOOD[:20]
    assert [type(r) for r in read_lines(data)] == [OutputRecord, OutputRecord, BadLine]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"cut \uDE00!"', "cut \ufffd!"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
        (b'"cut \xf0\x9f"', "cut \ufffd"),
        (b'"\xff\\ud83d"', "\ufffd\ufffd"),
    ],
)
def test_an_answer_with_half_a_character_is_read(answer: bytes, expected: str) -> None:
    """A model that stops at its token limit may end with one; the answer was paid for."""
    record = read_record(b'{"recordId":"a","modelOutput":{"n":1.10,"t":' + answer + b"}}")
    assert record.error is None
    assert msgspec.json.decode(record.output or b"") == {"n": 1.1, "t": expected}
    assert b"1.10" in (record.output or b"")


@given(st.text())
def test_whole_text_changes_only_half_characters(text: str) -> None:
    """Any other text stays as it is."""
    for ascii_only in (True, False):
        data = json.dumps({"t": text}, ensure_ascii=ascii_only).encode()
        assert replace_half_characters(data) == data


DAMAGED_BYTES = st.sampled_from(
    [b"\\", b'"', b"{", b"}", b"1", b"e", b"\xff", b"\xf0", b":", b" ", b"u"]
)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), DAMAGED_BYTES), min_size=1, max_size=4))
def test_a_damaged_line_does_not_stop_the_reading(changes: list[tuple[int, bytes]]) -> None:
    """Every line is a record or a bad line, and every answer is valid UTF-8."""
    damaged = bytearray(GOOD)
    for place, byte in changes:
        damaged[place : place + 1] = byte
    lines = list(read_lines(bytes(damaged) + b"\n" + GOOD + b"\n"))
    assert lines[-1] == read_record(GOOD)
    for line in lines:
        if isinstance(line, OutputRecord) and line.output is not None:
            line.output.decode()


@pytest.mark.parametrize(
    ("data", "manifest"),
    [
        (
            (DATA / "completed_all_errors.manifest.json.out").read_bytes(),
            OutputManifest(500, 500, 0, 500, 0, 0),
        ),
        (b'{"totalRecordCount":0}\n', OutputManifest(total=0)),
        (
            b'{"inputTextTokenCount":3,"outputTextTokenCount":4}',
            OutputManifest(input_tokens=3, output_tokens=4),
        ),
        (
            b'\xef\xbb\xbf{"successRecordCount":7,"inputAudioSecond":1.5}',
            OutputManifest(succeeded=7),
        ),
        (
            b'{"outputImgCount512x512pStep50":3,"outputImgCount1024x1024pStep30":4,'
            b'"outputImgCountNew":null,"inputTextTokenCount":5}',
            OutputManifest(images=7, input_tokens=5),
        ),
        (
            b'{"inputTokenCount":null,"inputTextTokenCount":9,"outputTokenCount":2}',
            OutputManifest(input_tokens=9, output_tokens=2),
        ),
        (b'{"totalRecordCount":null,"outputImgCount512x512pStep50":"3"}', OutputManifest()),
        (b'{"totalRecordCount":"7","errorRecordCount":true}', OutputManifest()),
        (b"{}", OutputManifest()),
        (b"[]", None),
        (b"null", None),
        (b"", None),
        (b'{"totalRecordCount":', None),
        (b"\xff\xfe", None),
        (100_000 * b"[", None),
    ],
)
def test_output_manifests_are_read(data: bytes, manifest: OutputManifest | None) -> None:
    """Keys may be absent or unknown, and values of another type are ignored.

    A file that is not a JSON object is no manifest.
    """
    assert read_output_manifest(data) == manifest


def test_a_job_without_output_writes_23_bytes() -> None:
    """Manifests of this size have been seen; this is their likely content."""
    data = b'{"totalRecordCount":0}\n'
    assert len(data) == 23
    assert read_output_manifest(data) == OutputManifest(total=0)


@pytest.mark.parametrize("tier", ["flex", "priority", "units", "standard", None])
def test_a_line_says_at_which_tier_it_was_paid(tier: str | None) -> None:
    """The standard tier is not written. Lines of jobs have no tier that is believed."""
    line = answer_line("a", b'{"x":1}', b'{"t":1}', tier)
    assert read_record(line) == OutputRecord("a", b'{"t":1}', None)
    assert (b"serviceTier" in line) is (tier not in ("standard", None))
    odd = b'{"recordId":"a","modelOutput":{"t":1},"serviceTier":{"type":"flex"}}'
    for data, expected in ((line, tier or "standard"), (odd, "standard")):
        (many,) = read_many(data + b"\n", 1, has_notes=True)
        (one,) = read_lines(data, has_notes=True)
        assert isinstance(many, AnsweredLines)
        assert isinstance(one, OutputRecord)
        assert many.notes is not None
        assert one.note is not None
        assert many.notes[0].tier == one.note.tier == expected
