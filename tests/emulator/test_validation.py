"""The rules of the emulator that are not in the service model: linear patterns and paging."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.wire.paging import page
from bedrock_emulator.wire.validation import _EQUIVALENT_PATTERNS, compiled

JOB_NAME = r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}"
TOKEN = r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}"


@given(st.text("aZ0+-._", min_size=1, max_size=12))
def test_linear_patterns_match_the_same_texts(text: str) -> None:
    """They agree with the published patterns, up to the lengths that are checked before."""
    for published in _EQUIVALENT_PATTERNS:
        expected = re.fullmatch(published, text) is not None
        assert (compiled(published).fullmatch(text) is not None) == expected


def test_no_name_makes_the_matcher_slow() -> None:
    """With the published pattern of a job name, 60 dashes and a wrong letter would take years."""
    started = time.monotonic()
    assert not compiled(JOB_NAME).fullmatch(f"a{'-' * 60}_")
    assert not compiled(TOKEN).fullmatch(f"{'a-' * 127}_")
    assert time.monotonic() - started < 1


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**6)), unique_by=lambda item: item[1]),
    st.integers(1, 5),
    st.booleans(),
)
def test_pages_show_each_item_once_in_order(
    items: list[tuple[int, int]], size: int, ascending: bool
) -> None:
    """Each item is on exactly one page, also if times are equal."""
    params = {"maxResults": size, "sortOrder": "Ascending" if ascending else "Descending"}
    shown: list[tuple[int, int]] = []
    token: str | None = None
    while True:
        request = {**params, **({"nextToken": token} if token else {})}
        items_of_page, token = page(items, request, lambda item: (float(item[0]), item[1]))
        assert len(items_of_page) <= size
        shown += items_of_page
        if token is None:
            break
    assert shown == sorted(items, reverse=not ascending)


def test_new_items_between_pages_cause_no_gap_and_no_repetition() -> None:
    """The token holds the position of an item, not a count of items."""
    items = list(range(10))
    first, token = page(items, {"maxResults": 4}, lambda item: (float(item), item))
    rest, _ = page([*items, 10, 11], {"nextToken": token}, lambda item: (float(item), item))
    assert first + rest == items[::-1]


@given(st.text(max_size=20))
def test_invalid_tokens_are_refused(token: str) -> None:
    """Always with an error of the service, never with another exception."""
    with pytest.raises(ServiceError, match="nextToken"):
        page([1], {"nextToken": token}, lambda item: (0.0, item))
