"""What a call is expected to cost, and prices in words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bedrock_spark.config import TokenPrices
from bedrock_spark.families import family_by_name
from bedrock_spark.playground.estimate import CostBefore, cost_before, cost_words, price_words
from bedrock_spark.playground.prices import CallPrice

PRICE = CallPrice(
    TokenPrices(input=Decimal("0.001"), output=Decimal("0.01")), Decimal("0.05"), "list prices"
)
BY_HOUR = CallPrice(is_by_hour=True)


def test_the_cost_before_is_a_range_up_to_the_longest_answer() -> None:
    body: dict[str, Any] = {"messages": [], "inferenceConfig": {"maxTokens": 1_000}}
    before = cost_before(PRICE, body, family_by_name("nova"))
    assert before.most is not None
    assert before.least is not None
    assert Decimal("0.01") < before.most < Decimal("0.0102")
    assert before.least < Decimal("0.0001")
    assert before.words.endswith(" to $0.0101")
    assert (before + before).most == 2 * before.most


def test_an_answer_without_a_limit_has_no_highest_cost() -> None:
    before = cost_before(PRICE, {"messages": []}, family_by_name("nova"))
    assert before.most is None
    assert before.words.endswith("no limit is set for the answer")
    assert (CostBefore(Decimal(1), None) + CostBefore(Decimal(1), Decimal(1))).most is None


def test_images_cost_by_the_piece() -> None:
    body = {"imageGenerationConfig": {"numberOfImages": 3}}
    before = cost_before(PRICE, body, family_by_name("amazon_images"))
    assert before == CostBefore(Decimal("0.15"), Decimal("0.15"), is_bound=False)
    assert before.words == "about $0.1500; nothing bounds it"
    body["imageGenerationConfig"] |= {"width": 512, "height": 512}
    assert cost_before(PRICE, body, family_by_name("amazon_images")).words == "$0.1500"


def test_what_nothing_bounds_is_about_the_most() -> None:
    """Tools, for one. A sum is a bound only if each part is."""
    limits = {"messages": [], "inferenceConfig": {"maxTokens": 1_000}}
    tools = cost_before(PRICE, {**limits, "toolConfig": {}}, family_by_name("nova"))
    assert tools.words == "about $0.0100; nothing bounds it"
    plain = cost_before(PRICE, limits, family_by_name("nova"))
    assert not (plain + tools).is_bound
    assert (plain + plain).is_bound


def test_an_embedding_has_no_output() -> None:
    before = cost_before(PRICE, {"inputText": "x" * 400}, family_by_name("titan_embeddings"))
    assert before.most is not None
    assert before.most < Decimal("0.0005")


def test_a_price_that_is_not_known_is_never_zero() -> None:
    for family in ("nova", "amazon_images", "titan_embeddings"):
        before = cost_before(CallPrice(), {}, family_by_name(family))
        assert before.words == "its price is not known"
    assert cost_words(None, CallPrice()) == "cost not known"
    assert price_words(CallPrice()) == "no price is known"


def test_a_call_to_a_throughput_adds_nothing() -> None:
    before = cost_before(BY_HOUR, {"max_tokens": 9}, family_by_name("nova"))
    assert before.words == "adds nothing to the hours of the throughput"
    assert cost_words(None, BY_HOUR) == "paid for by the hour"
    assert price_words(BY_HOUR) == "paid for by the hour; a call adds nothing"


def test_prices_are_shown_per_million_tokens() -> None:
    assert price_words(PRICE) == "$1 in, $10 out per million tokens, $0.05 an image (list prices)"
    assert cost_words(Decimal("0.002"), PRICE) == "cost $0.0020"
