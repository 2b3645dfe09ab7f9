"""Whether texts are UTF-8: as Python decodes each of them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.spark.prepare import utf8
from bedrock_spark.spark.prepare.utf8 import is_utf8

# Whole characters of each length, halves of them, and bytes that are in no text.
PIECES = st.sampled_from(
    [
        *(b"a", b"abcdefgh", "é".encode(), "ЖЖ".encode(), b"\xc2\x80", b"\xdf\xbf", b"\x7f"),
        *(
            "€".encode(),
            "\U0001f600".encode(),
            b"\xe0\xa0\x80",
            b"\xef\xbf\xbf",
            b"\xf4\x8f\xbf\xbf",
        ),
        *(b"\x80", b"\xbf", b"\xc3", b"\xdf", b"\xc0\x80", b"\xc1\xbf", b"\xe2\x82", b"\xf0\x9f"),
        *(
            b"\xe0\x9f\xbf",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf5",
            b"\xff",
            b"\xe0",
            b"\xf0",
        ),
    ]
)
VALID = st.text(st.sampled_from("aé\x7f\u0080\u07ff\u0800€\U0001f600"), max_size=9).map(str.encode)
SHORT = st.text(st.sampled_from("aéЖ\u0080\u07ff"), max_size=9).map(str.encode)
BYTES = st.one_of(st.lists(PIECES, max_size=3).map(b"".join), VALID, SHORT, st.binary(max_size=3))
TEXTS = st.one_of(
    st.lists(st.one_of(SHORT, st.none()), max_size=8),
    st.lists(st.one_of(VALID, st.none()), max_size=8),
    st.lists(st.one_of(BYTES, st.none()), max_size=4),
)


def decodes(raw: bytes | None) -> bool:
    try:
        (raw or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def texts_of(raw: list[bytes | None], kind: pa.DataType) -> pa.Array:
    """Return bytes as texts, whatever they are."""
    binary = pa.binary() if kind == pa.string() else pa.large_binary()
    return pa.Array.from_buffers(kind, len(raw), pa.array(raw, binary).buffers())


@given(
    TEXTS,
    st.integers(0, 3),
    st.integers(0, 8),
    st.sampled_from([pa.string(), pa.large_string()]),
    st.sampled_from([2, 3, 4, 7, 64]),
)
def test_texts_are_utf8_if_python_decodes_each(
    raw: list[bytes | None], start: int, length: int, kind: pa.DataType, block: int
) -> None:
    """In any slice, however the bytes are cut into blocks; a character is never of two texts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utf8, "_BLOCK_BYTES", block)
        is_valid = is_utf8(texts_of(raw, kind).slice(start, length))
    assert is_valid == all(map(decodes, raw[start : start + length]))


@pytest.mark.parametrize("first", range(0x70, 0x100))
def test_every_pair_of_bytes(first: int) -> None:
    """Alone, and between other characters of two bytes."""
    for second in range(0x100):
        pair = bytes((first, second))
        for raw in (pair, "é".encode() + pair + "é".encode()):
            assert is_utf8(texts_of([b"x", raw], pa.string())) == decodes(raw), raw


def test_arrow_is_asked_about_long_characters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of short ones there may be more than one block. The bytes of a null do not count."""
    asked: list[int] = []

    def is_utf8_by_arrow(texts: pa.Array) -> bool:
        asked.append(len(texts))
        return True

    monkeypatch.setattr(utf8, "_is_utf8_by_arrow", is_utf8_by_arrow)
    text = "Größe и смысл " * 20_000
    assert is_utf8(pa.array([text, "a", None, "é"]))
    assert asked == []
    assert is_utf8(pa.array([text, "5 €"]))
    assert asked == [2]
    monkeypatch.undo()
    offsets = pa.array([0, 2, 3], pa.int32()).buffers()[1]
    buffers = [pa.py_buffer(b"\x01"), offsets, pa.py_buffer(b"\xc3\xa9\xff")]
    null = pa.Array.from_buffers(pa.string(), 2, buffers)
    assert null.to_pylist() == ["é", None]
    assert is_utf8(null)
