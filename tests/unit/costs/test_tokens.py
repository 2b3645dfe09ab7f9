"""What tokens cost, and how many tokens a run is expected to use."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from bedrock_spark.config import RequestConfig, TokenPrices
from bedrock_spark.costs.fallback_paid import FallbackPaid, fallback_paid
from bedrock_spark.costs.paid import Paid, paid_for
from bedrock_spark.costs.spent import spent
from bedrock_spark.costs.tokens import (
    Expected,
    Sample,
    Tokens,
    dollars,
    expect,
    images_per_answer,
    max_answer_tokens,
    total,
)
from bedrock_spark.prices import RunPrices
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse

HAIKU = TokenPrices(input=Decimal("0.000125"), output=Decimal("0.000625"))
BOTH = RunPrices(batch=HAIKU, fallback=TokenPrices(input=Decimal(1), output=Decimal(2)))
COUNTS = st.integers(0, 10**15)


def request(**options: Any) -> RequestConfig:
    return RequestConfig(**{"prompt": "{{ x }}", **options})


def test_prices_are_per_thousand_tokens() -> None:
    """The cost is exact: 125 dollars for a billion tokens, a fraction of a cent for one."""
    assert Tokens(10**9, 0).cost(HAIKU) == 125
    assert Tokens(0, 1).cost(HAIKU) == Decimal("0.000000625")


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_sum_costs_what_its_parts_cost(a: int, b: int, c: int, d: int) -> None:
    """Nothing is rounded before the end."""
    one, two = Tokens(a, b), Tokens(c, d)
    assert total([one, two]).cost(HAIKU) == one.cost(HAIKU) + two.cost(HAIKU)


def paid(prices: RunPrices, tokens: Tokens) -> FallbackPaid:
    """Return what answers of the fallback with these tokens cost."""
    use = ModelUse("m", "standard", 1, asdict(tokens))
    manifest = RunManifest("r", 1, "a INT", (), ())
    return fallback_paid([[use]], prices, Expected(0, 0, ""), manifest)


def batch(prices: RunPrices, tokens: Tokens) -> Paid:
    """Return what a batch job of these tokens costs."""
    return paid_for(tokens, prices.of_batch(None))


def canary(prices: RunPrices, tokens: Tokens) -> Paid:
    """Return what a try of the canary of these tokens costs."""
    return paid_for(tokens, prices.of_try("m"))


def test_costs_are_split_into_parts() -> None:
    """The canary makes single calls, which cost twice the batch price; an image costs the same."""
    costs = spent(
        *(BOTH, batch(BOTH, Tokens(8000)), paid(BOTH, Tokens(1000, 1000))),
        canary(BOTH, Tokens(8000)),
    )
    assert costs.parts() == {
        "batch": Decimal("0.001"),
        "fallback": Decimal(3),
        "canary": Decimal("0.002"),
        "model_units": None,
    }
    assert costs.total == Decimal("3.003")
    prices = RunPrices(image=Decimal("0.5"), model_unit_hour=Decimal(7))
    with_images = spent(
        *(prices, batch(prices, Tokens(9, images=2)), paid(prices, Tokens(images=4))),
        *(canary(prices, Tokens(images=6)), 3),
    )
    assert [*with_images.parts().values()] == [1, 2, 3, 21]
    assert with_images.total == 27


@pytest.mark.parametrize(
    ("body", "images"),
    [
        (None, 1),
        ({"prompt": "x"}, 1),
        ({"imageGenerationConfig": {"numberOfImages": 4}}, 4),
        ({"samples": 3, "text_prompts": [{"text": "x"}]}, 3),
        ({"samples": True}, 1),
    ],
)
def test_images_per_answer(body: dict[str, Any] | None, images: int) -> None:
    """One, if the body asks for no other number."""
    asked = RequestConfig(prompt="x") if body is None else RequestConfig(body=body)
    assert images_per_answer(asked) == images


def test_tokens_of_a_cache_have_their_own_price() -> None:
    """They are a part of the input. Without such a price they cost as other input."""
    prices = TokenPrices(
        input=Decimal(1), output=Decimal(2), cache_read=Decimal("0.1"), cache_write=Decimal("1.25")
    )
    tokens = Tokens(1000, 100, cache_read=600, cache_write=200)
    assert tokens.cost(prices) == Decimal("0.2") + Decimal("0.06") + Decimal("0.25") + Decimal(
        "0.2"
    )
    plain = TokenPrices(input=Decimal(1), output=Decimal(2))
    assert tokens.cost(plain) == Decimal("1.2")
    assert tokens + tokens - tokens == tokens


def test_tokens_without_a_price_cost_nothing() -> None:
    """For example a fallback on provisioned throughput, which is paid by the hour."""
    prices = RunPrices(batch=HAIKU)
    costs = spent(prices, batch(prices, Tokens(8000)), paid(prices, Tokens(9, 9)), Paid())
    assert (costs.fallback, costs.total) == (None, Decimal("0.001"))
    none = RunPrices()
    unpriced = batch(none, Tokens(1))
    assert (unpriced.dollars, unpriced.unpriced) == (0, 1)
    assert spent(none, unpriced, paid(none, Tokens(1)), canary(none, Tokens(1))).total == 0


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
def test_dollars_are_formatted_for_people(amount: str, shown: str) -> None:
    """Two decimal places; four if the amount is less than a dollar."""
    assert dollars(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_tokens": 40}, 40),
        ({"max_tokens": 9_000, "thinking": {"budget_tokens": 4_000}}, 9_000),
        ({}, None),
        ({"prompt": None, "body": {"max_tokens": 9, "messages": [{"max_tokens": "x"}]}}, 9),
        ({"prompt": None, "body": {"inferenceConfig": {"maxTokens": 7}}}, 7),
        ({"prompt": None, "body": {"a": [{"maxTokenCount": 5}], "max_gen_len": 6}}, 6),
        ({"prompt": None, "body": {"max_tokens": "{{ n }}", "x": True}}, None),
        ({"prompt": None, "body_column": "body"}, None),
    ],
)
def test_the_longest_answer_is_read_from_the_request(
    options: dict[str, Any], expected: int | None
) -> None:
    """From `request.max_tokens`, or from the limit that a family has in its body. Else None."""
    assert max_answer_tokens(request(**options)) == expected


def test_without_a_sample_the_rule_of_thumb_is_used() -> None:
    """Four bytes a token, and every answer as long as allowed."""
    expected = expect(request(max_tokens=40), None)
    assert expected.tokens(4000, 10) == Tokens(1000, 400)
    assert expected.how == "4 bytes a token, 40 tokens an answer at most"
    assert expect(request(), None).tokens(4000, 10) == Tokens(1000, 0)
    assert expect(request(), None).how == "4 bytes a token, answers not counted"


def test_a_sample_measures_the_expected_tokens() -> None:
    """Input tokens per byte, and the mean output tokens per record."""
    expected = expect(request(max_tokens=4000), Sample(5, 1000, Tokens(500, 60)))
    assert expected == Expected(0.5, 12.0, "measured on the 5 records of the canary")
    assert expected.tokens(10_001, 100) == Tokens(5001, 1200)


@pytest.mark.parametrize("sample", [Sample(5, 1000, Tokens()), Sample(5, 0, Tokens(5, 5))])
def test_a_sample_without_counts_is_ignored(sample: Sample) -> None:
    """Some models do not report their tokens."""
    assert expect(request(max_tokens=4), sample) == expect(request(max_tokens=4), None)
