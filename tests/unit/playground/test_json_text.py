"""JSON that a person writes: what is no plain JSON is named, and nothing of it is quoted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import ConfigError
from bedrock_spark.playground.json_text import MOST_LEVELS, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text of bytes: no half characters.
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_value_of_json_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value), "it") == value


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not valid JSON (line 1)"),
        ('{\n"a": secret}', "is not valid JSON (line 2)"),
        ("[1e999]", "has a number that is too large"),
        ("-1e999", "has a number that is too large"),
        ("9" * 400, "has a number that is too large"),
        ("9" * 9_999, "has a number that is too large"),
        ('{"secret": -Infinity}', "has -Infinity, which is not JSON"),
        ('["secret \\ud800"]', "has half a character"),
        ('{"secret \\udc00": 1}', "has half a character"),
        (nested(MOST_LEVELS + 1), "has more than 100 lists and objects inside each other"),
        ('{"a":' * 100_000, "has more than 100 lists"),
    ],
)
def test_what_is_no_plain_json_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_json(text, "the field")
    assert str(raised.value).startswith("the field: ")
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_most_levels_are_read() -> None:
    assert read_json(nested(MOST_LEVELS), "it")
