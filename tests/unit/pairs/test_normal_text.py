"""Which texts are the same but for their form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.pairs.normal_text import normal_text


@pytest.mark.parametrize(
    "text",
    ["Spam.", " spam ", '"spam"', "**SPAM**", "'Spam'.", "spam!", "\u201cspam\u201d", "\uff53pam"],
)
def test_the_form_does_not_count(text: str) -> None:
    assert normal_text(text) == "spam"


@pytest.mark.parametrize(
    ("one", "other"), [("5", ".5"), ("5", "-5"), ("a b", "ab"), ("no spam", "spam"), ("1.5", "15")]
)
def test_the_content_counts(one: str, other: str) -> None:
    assert normal_text(one) != normal_text(other)


def test_white_space_is_one_space() -> None:
    assert normal_text("two\n\t words") == "two words"


@given(st.text(max_size=30))
def test_a_normal_form_has_no_other_white_space(text: str) -> None:
    found = normal_text(text)
    assert found == " ".join(found.split(" ")).strip(" ")
    assert "  " not in found
