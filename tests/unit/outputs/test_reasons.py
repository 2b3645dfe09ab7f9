"""Reasons: equal causes are counted as one, no value is shown, and a sum over shards is bounded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.reasons import MOST_REASONS, Reason, ReasonCounts, pattern_of


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("Input is too long: 250,123 > 200000 tokens", "Input is too long: N > N tokens"),
        ('value "top secret" of `a.b` is wrong', "value '…' of '…' is wrong"),
        ("'it''s' isn't allowed, don't", "'…''…' isn't allowed, don't"),
        ("body: is null", "body: is null"),
        ("amounts[3].total: is a string", "amounts[…].total: is a string"),
        ("cannot read s3://b/private/x.png now", "cannot read … now"),
        ("write to jane.doe@example.com please", "write to … please"),
        ("model arn:aws:bedrock:us-east-1:1:x/y failed", "model … failed"),
        ('unexpected {"name": "Jane", "n": 1}', "unexpected […]"),
        ("request 3f2a9c00-11aa-22bb-33cc-44dd55ee66ff failed", "request … failed"),
        ("record R0000000000000000000012 failed", "record … failed"),
        ("  two\n lines ", "two lines"),
        ("HTTP 503, since 2026-11-25T10:00:00Z", "HTTP N, since N"),
    ],
)
def test_a_pattern_keeps_the_words_and_no_values(message: str, pattern: str) -> None:
    """Quoted texts, JSON, addresses, ids and numbers are what differs."""
    assert pattern_of(message) == pattern


@given(st.integers(0, 10**30), st.text(st.characters(categories=["Lu", "Ll"]), min_size=9))
def test_messages_that_differ_in_values_have_one_pattern(number: int, text: str) -> None:
    """And the values are in none of them."""
    made = pattern_of(f'field "{text}" has {number} items of s3://{text}/x')
    assert made == "field '…' has N items of …"


@given(st.text(max_size=20_000))
def test_a_pattern_is_short_and_on_one_line(message: str) -> None:
    """Whatever the message holds; a report is read by people."""
    assert len(pattern_of(message)) <= 240
    assert "\n" not in pattern_of(message)


REASONS = st.tuples(
    st.sampled_from(["error", "invalid"]), st.none() | st.integers(400, 403), st.text("abc")
)


@given(st.lists(st.lists(REASONS, max_size=60), max_size=5))
def test_every_row_is_counted_once(shards: list[list[tuple[str, int | None, str]]]) -> None:
    """Among the commonest reasons or the others, in a shard and in the sum over shards."""
    total = ReasonCounts()
    for rows in shards:
        counts = ReasonCounts()
        for row in rows:
            counts.add(*row)
        common, others = counts.most_common()
        assert len(common) <= MOST_REASONS
        assert sum(r.count for r in common) + others == len(rows)
        exact = Counter((o, c, pattern_of(m)) for o, c, m in rows)
        assert all(exact[r.outcome, r.code, r.message] == r.count for r in common)
        total.merge(common, others)
    common, others = total.most_common()
    assert sum(r.count for r in common) + others == sum(map(len, shards))
    assert [r.count for r in common] == sorted((r.count for r in common), reverse=True)


def test_a_sum_holds_a_bounded_number_of_reasons() -> None:
    """Messages that never repeat do not fill the memory of the driver."""
    total = ReasonCounts()
    frequent = Reason("error", 400, "frequent", 5, "r1")
    letters = "abcdefghijklmnopqrst"
    for a in letters:
        for b in letters:
            for c in letters[:12]:
                total.merge([frequent, Reason("error", 400, f"x{a}{b}{c}", 1)], 0)
    common, others = total.most_common(1)
    assert common == [Reason("error", 400, "frequent", 5 * 4_800, "r1")]
    assert others == 4_800
    assert len(total._reasons) <= 4_001
