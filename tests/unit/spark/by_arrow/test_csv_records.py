"""Which records of CSV are handed to Arrow: all short texts, against a machine of states."""

from __future__ import annotations

from itertools import product

import pytest

from bedrock_spark.spark.by_arrow.csv_files import _end_of, _records


def expected_end(text: bytes, *, is_doubled: bool, takes_breaks: bool) -> int:
    """Return where the whole records end, a byte at a time.

    A value is bare, or in quotation marks that begin and end it.
    """
    end = place = 0
    odd = b"\x00" if is_doubled else b"\x00\\"
    while True:
        # One value, and what follows it.
        if text[place : place + 1] == b'"':
            place += 1
            while place < len(text):
                one = text[place : place + 1]
                if one == b'"':
                    if not (is_doubled and text[place + 1 : place + 2] == b'"'):
                        break
                    place += 1
                elif one in odd or one == b"\r" or (one == b"\n" and not takes_breaks):
                    return end
                place += 1
            if place >= len(text):
                return end
            place += 1
        else:
            while place < len(text) and text[place : place + 1] not in b'"\r\n,' + odd:
                place += 1
        after = text[place : place + 1]
        if after == b",":
            place += 1
            continue
        if after == b"\n":
            place += 1
        elif after == b"\r" and not takes_breaks:
            place += 2 if text[place : place + 2] == b"\r\n" else 1
        else:
            return end
        end = place


@pytest.mark.parametrize("is_doubled", [False, True])
@pytest.mark.parametrize("takes_breaks", [False, True])
def test_whole_records_are_found_as_by_a_machine_of_states(
    is_doubled: bool, takes_breaks: bool
) -> None:
    """With each version of Python: some repeat groups wrong that must not be gone back into."""
    records = _records(",", is_doubled=is_doubled, takes_breaks=takes_breaks, has_crlf=False)
    ends = set()
    for length in range(8):
        for letters in product(b'a,"\r\n', repeat=length):
            text = bytes(letters)
            expected = expected_end(text, is_doubled=is_doubled, takes_breaks=takes_breaks)
            assert _end_of(records, text) == expected, text
            ends.add(expected)
    assert ends == set(range(8))


@pytest.mark.parametrize(
    ("data", "is_known"),
    [
        (b'a b,"""a",x\n', False),
        (b"," * 99_999 + b"\n", True),
        (b"," * 100_001 + b"\n", False),
        (b'"' + b'""' * 100_000 + b'"\n', True),
        (b'"' + b'""' * 100_001 + b'"\n', False),
        (b"a\n" * 5_000, True),
    ],
)
def test_many_values_and_many_records(data: bytes, is_known: bool) -> None:
    """A record with too many of them is left to Spark: each takes memory."""
    records = _records(",", is_doubled=data[:1] == b'"', takes_breaks=False, has_crlf=False)
    assert _end_of(records, data) == (len(data) if is_known else 0)
