"""Texts that are compressed by the hundred."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.packed_texts import _GROUP, PackedTexts

COUNTS = st.integers(0, 3) | st.integers(_GROUP - 2, 2 * _GROUP + 2)


@given(COUNTS, st.binary(max_size=9).map(lambda text: text.replace(b"\n", b"")), st.data())
def test_packed_texts_are_the_texts(count: int, text: bytes, draw: st.DataObject) -> None:
    """In their order, one by one and as slices, also at the ends of a group; empty ones, too."""
    texts = [text + b"%d" % number if number % 3 else b"" for number in range(count)]
    packed = PackedTexts(iter(texts))
    assert [*packed] == texts
    assert len(packed) == count
    part = draw.draw(st.slices(count))
    assert packed[part] == texts[part]
    for place in {0, 1, _GROUP - 1, _GROUP, count - 1} & {*range(count)}:
        assert packed[place] == texts[place]
        assert packed[place - count] == texts[place]
    for place in (count, -count - 1):
        with pytest.raises(IndexError):
            packed[place]


def test_a_text_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        PackedTexts([b"a", b"b\nc"])
