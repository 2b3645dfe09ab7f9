"""Output files are read piece by piece: what is read does not depend on the pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.line_pieces import read_pieces
from bedrock_spark.outputs.lines import (
    AnsweredLines,
    BadLine,
    OutputRecord,
    _one_by_one,
    read_lines,
    read_many,
)
from bedrock_spark.storage import LineReader, LocalStorage

GOOD = b'{"recordId":"a","modelOutput":{"t":1}}'
LINES = st.lists(
    st.sampled_from(
        [
            *(GOOD, b'{"recordId":"b","error":{"errorCode":400}}', b"", b" ", b"{", b"null"),
            *(b'{"recordId":null}', b'{"recordId":"c","modelOutput":"\xff"}', b"\xef\xbb\xbf"),
            *(b'{"recordId":"d",', b'"modelOutput":{}}', GOOD + GOOD, b'{"modelOutput":{}}'),
            *(b'{"recordId":"e","modelOutput":{"text":"\\ud83d"}}', GOOD + b"\r"),
        ]
    ),
    max_size=8,
)


def line_of(record_id: str | int, members: str) -> bytes:
    return f'{{"recordId":{json.dumps(record_id)},{members}}}'.encode()


def one_by_one(
    lines: Iterable[OutputRecord | BadLine | AnsweredLines],
) -> Iterator[OutputRecord | BadLine]:
    for line in lines:
        if isinstance(line, AnsweredLines):
            yield from line.records()
        else:
            yield line


@given(LINES, st.booleans())
def test_lines_that_are_decoded_at_once_are_the_same(lines: list[bytes], ends: bool) -> None:
    """As those that are decoded one by one, with the same numbers of bad lines."""
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    assert list(read_lines(data)) == list(_one_by_one(data, 1, 0))


@given(LINES, st.booleans())
def test_lines_that_are_read_together_are_the_same(lines: list[bytes], ends: bool) -> None:
    """As those that are read one by one, in another order."""
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    many = list(one_by_one(read_many(data, data.count(b"\n"))))
    assert sorted(many, key=repr) == sorted(_one_by_one(data, 1, 0), key=repr)


def test_answers_are_read_together_and_errors_are_not() -> None:
    """Without this, the faster way would never be taken, and no other test would fail."""
    lines = [line_of("a", '"modelOutput":{"t":1}'), line_of("b", '"modelOutput":{"t":2}')]
    rare = [
        line_of("c", '"error":{"errorCode":500}'),
        line_of(7, '"modelOutput":{}'),
    ]
    data = b"\n".join([*rare, *lines])
    answered, *others = read_many(data, data.count(b"\n"))
    assert answered == AnsweredLines(["a", "b"], [b'{"t":1}', b'{"t":2}'])
    assert others == list(read_lines(b"\n".join(rare)))


@pytest.mark.parametrize(
    "line",
    [
        line_of("a", '"modelOutput":{"t":2}'),
        line_of("a", '"error":{"errorCode":500}'),
        line_of("b", '"modelOutput":{"errorCode":500,"errorMessage":""}'),
        *(line_of("b", '"modelOutput":null'), line_of("b", '"x":1')),
        line_of("b", '"modelOutput":{"t":"\\ud83d"}').replace(b"\\ud83d", b"\xff"),
    ],
)
def test_lines_whose_order_or_bytes_may_count_are_read_one_by_one(line: bytes) -> None:
    data = GOOD + b"\n" + line
    assert list(read_many(data, 1)) == list(_one_by_one(data, 1, 0))


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    """Bad lines keep their place in the file."""
    data = b"\n".join([b"\xef\xbb\xbf" + GOOD, b"{", GOOD, b"", b"[", GOOD])
    storage = LocalStorage(str(tmp_path / "run"))
    storage.write("out", data)
    (item,) = storage.list("out")
    whole = list(read_lines(data))
    assert [type(line) for line in whole] == [
        *(OutputRecord, BadLine, OutputRecord, BadLine, OutputRecord)
    ]
    for size in (1, 7, len(GOOD) + 1, 60, len(data) - 1):
        reader = LineReader(storage, [item], size)
        assert list(one_by_one(read_pieces(reader, item))) == whole
