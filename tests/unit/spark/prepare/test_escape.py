"""Escapes for JSON strings, column by column."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.prepare.escape import LINES, as_lines, escaped

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('"\\\n\t\r\b\f\x00\x1f\x7f/'))
)


def json_of(text: str | None) -> bytes | None:
    return None if text is None else msgspec.json.encode(text)[1:-1]


@given(
    st.lists(st.one_of(TEXTS, TEXTS, st.none()), max_size=20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from([pa.string(), pa.large_string()]),
)
def test_escapes_are_those_of_json(
    texts: list[str | None], start: int, length: int, kind: pa.DataType
) -> None:
    """For every character, in any slice of a column, with nulls and without."""
    column = pa.array(texts, kind).slice(start, length)
    escapes = escaped(column)
    escapes.validate(full=True)
    assert escapes.type == LINES
    assert escapes.to_pylist() == [json_of(text) for text in column.to_pylist()]


@given(
    st.lists(st.one_of(TEXTS, st.none()), max_size=9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([pa.string(), pa.large_string()]),
)
def test_texts_as_lines_have_their_own_bytes(
    texts: list[str | None], start: int, length: int, kind: pa.DataType
) -> None:
    column = pa.array(texts, kind).slice(start, length)
    lines = as_lines(column)
    lines.validate(full=True)
    assert lines.equals(column.cast(LINES))


@pytest.mark.parametrize("code", range(128))
def test_each_character_alone_and_in_its_neighbour(code: int) -> None:
    """An escape moves the texts after it, and no text before it."""
    texts = [f"a{chr(code)}", "é", f"{chr(code)}" * 3, ""]
    assert escaped(pa.array(texts)).to_pylist() == [json_of(text) for text in texts]


def test_a_null_may_have_bytes_of_its_own() -> None:
    """Arrow does not forbid that the place of a null holds a text."""
    offsets = pa.py_buffer(pa.array([0, 2, 4, 6], pa.int32()).buffers()[1])
    column = pa.Array.from_buffers(
        pa.string(), 3, [pa.py_buffer(b"\x05"), offsets, pa.py_buffer(b'a"""b\n')]
    )
    assert escaped(column).to_pylist() == [b'a\\"', None, b"b\\n"]
