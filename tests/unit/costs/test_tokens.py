"""What tokens cost, and how many a run is expected to take."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import PricesConfig, RequestConfig, TokenPrices
from bedrock_spark.costs.tokens import (
    Expected,
    Sample,
    Tokens,
    dollars,
    expect,
    longest_answer,
    spent,
    total,
)

HAIKU = TokenPrices(input=Decimal("0.000125"), output=Decimal("0.000625"))
BOTH = PricesConfig(batch=HAIKU, fallback=TokenPrices(input=Decimal(1), output=Decimal(2)))
COUNTS = st.integers(0, 10**15)


def request(**options: Any) -> RequestConfig:
    return RequestConfig(**{"prompt": "{{ x }}", **options})


def test_prices_are_for_a_thousand_tokens() -> None:
    """To the last digit: a billion tokens are 125 dollars, and one is a fraction of a cent."""
    assert Tokens(10**9, 0).cost(HAIKU) == 125
    assert Tokens(0, 1).cost(HAIKU) == Decimal("0.000000625")


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_sum_costs_what_its_parts_cost(a: int, b: int, c: int, d: int) -> None:
    """No cent is lost by rounding along the way."""
    one, two = Tokens(a, b), Tokens(c, d)
    assert total([one, two]).cost(HAIKU) == one.cost(HAIKU) + two.cost(HAIKU)


def test_what_was_spent_is_told_by_who_was_asked() -> None:
    """A single call, as the canary makes, costs twice what a record of a batch job does."""
    found = spent(BOTH, Tokens(8000), Tokens(1000, 1000), Tokens(8000))
    assert found.parts() == {
        "batch": Decimal("0.001"),
        "fallback": Decimal(3),
        "canary": Decimal("0.002"),
    }
    assert found.total == Decimal("3.003")


def test_what_has_no_price_is_not_counted() -> None:
    """A fallback on provisioned throughput is paid by the hour."""
    found = spent(PricesConfig(batch=HAIKU), Tokens(8000), Tokens(9, 9), Tokens())
    assert (found.fallback, found.total) == (None, Decimal("0.001"))
    assert spent(PricesConfig(), Tokens(1), Tokens(1), Tokens(1)).total == 0


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.0000"),
        ("0.00004", "$0.0000"),
        ("0.06505", "$0.0650"),
        ("0.99999", "$1.0000"),
        ("1", "$1.00"),
        ("1234567.895", "$1,234,567.90"),
    ],
)
def test_money_is_shown_as_people_read_it(amount: str, shown: str) -> None:
    """Cents; of less than a dollar, hundredths of them."""
    assert dollars(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_tokens": 40}, 40),
        ({}, None),
        ({"prompt": None, "body": {"max_tokens": 9, "messages": [{"max_tokens": "x"}]}}, 9),
        ({"prompt": None, "body": {"inferenceConfig": {"maxTokens": 7}}}, 7),
        ({"prompt": None, "body": {"a": [{"maxTokenCount": 5}], "max_gen_len": 6}}, 6),
        ({"prompt": None, "body": {"max_tokens": "{{ n }}", "x": True}}, None),
        ({"prompt": None, "body_column": "body"}, None),
    ],
)
def test_the_longest_answer_is_where_families_say_it(
    options: dict[str, Any], expected: int | None
) -> None:
    """In request.max_tokens, or in a body of one's own; nowhere, and answers are not counted."""
    assert longest_answer(request(**options)) == expected


def test_without_a_sample_the_rule_of_thumb_holds() -> None:
    """Four bytes a token, and every answer as long as it may be."""
    found = expect(request(max_tokens=40), None)
    assert found.tokens(4000, 10) == Tokens(1000, 400)
    assert found.how == "4 bytes a token, 40 tokens an answer at most"
    assert expect(request(), None).tokens(4000, 10) == Tokens(1000, 0)
    assert expect(request(), None).how == "4 bytes a token, answers not counted"


def test_a_sample_says_what_records_really_take() -> None:
    """Tokens per byte, and the mean answer."""
    found = expect(request(max_tokens=4000), Sample(5, 1000, Tokens(500, 60)))
    assert found == Expected(0.5, 12.0, "as the 5 records of the canary took")
    assert found.tokens(10_001, 100) == Tokens(5001, 1200)


@pytest.mark.parametrize("sample", [Sample(5, 1000, Tokens()), Sample(5, 0, Tokens(5, 5))])
def test_a_sample_that_counts_nothing_says_nothing(sample: Sample) -> None:
    """Some models do not tell their tokens."""
    assert expect(request(max_tokens=4), sample) == expect(request(max_tokens=4), None)
