"""Finding values in text: what is found is JSON, and the search is linear."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedrock_spark.outputs.json_values import NOT_JSON, decode, find_values

MARKS = st.text(st.sampled_from('{}[]":,\\ \n1a'), max_size=60)


@given(MARKS)
def test_what_is_found_is_a_value_of_the_text(text: str) -> None:
    """Each decodes from its part of the text, but for extra commas, and they do not overlap."""
    end = 0
    for found in find_values(text).values:
        assert end <= found.start < found.stop <= len(text)
        assert text[found.start] in "{["
        end = found.stop
        whole = decode(text[found.start : found.stop])
        assert whole is NOT_JSON or whole == found.value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(VALUES, min_size=1, max_size=3), st.booleans())
def test_every_array_between_words_is_found(values: list[object], ascii_only: bool) -> None:
    """Also after a bracket that begins nothing, from which on the scanner in Python reads."""
    texts = [json.dumps([value], ensure_ascii=ascii_only) for value in values]
    for before in ("", "[x "):
        found = find_values(before + " and ".join(texts))
        assert [f.value for f in found.values] == [[value] for value in values]


@given(MARKS, st.integers(20, 40))
@example("{", 40)
@example('{"', 40)
@example('{"a":', 40)
@example('{"a{', 40)
@example("[", 40)
@example("[1,", 40)
@example('[{"a', 40)
@example('{"a": "b {', 40)
@example('["\\"', 40)
@example("[{},[]", 40)
def test_the_search_is_linear(part: str, times: int) -> None:
    """However often a text opens what it does not close: each character is read at most twice."""
    text = f"[x{part * times}"
    assert find_values(text).characters <= 3 * len(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_deep_nesting_is_no_error(text: str) -> None:
    """It is broken: nothing is found, and nothing is raised."""
    found = find_values(text)
    assert (found.values, found.is_broken) == ([], True)
