"""The price of one call: the list's, the config's, or none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.config import TokenPrices
from bedrock_spark.families import Answer, family_by_name
from bedrock_spark.playground.prices import CallPrice, config_price, list_price
from bedrock_spark.prices import find_prices, price_table
from tests.models import NOVA
from tests.unit.fakes import PROVISIONED, make_config

AWS = AwsSettings("us-east-1")


def served(model_id: str = NOVA, base: str | None = None) -> ServedModel:
    return ServedModel(model_id, family_by_name("nova"), base or model_id)


def prices(given: str, made: str) -> dict[str, str]:
    return {"input": given, "output": made}


def test_the_list_price_is_that_of_a_call_on_demand() -> None:
    """With where it comes from."""
    price = list_price(served(), AWS)
    listed = find_prices(NOVA, "us-east-1", price_table())
    assert price.tokens == listed.tiers["standard"]
    assert price.origin == f"list prices: {listed.dated_source}, us-east-1"
    assert list_price(served("nobody.model-v1:0"), AWS) == CallPrice()


def test_a_profile_has_the_price_of_its_model_and_a_custom_model_has_none() -> None:
    """What a custom model costs on demand is not in the list."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:{}/abcdefghijkl"
    base = f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"
    profile = served(arn.format("application-inference-profile"), base)
    assert list_price(profile, AWS).tokens == list_price(served(), AWS).tokens
    assert list_price(served(arn.format("custom-model/imported"), base), AWS) == CallPrice()


def test_provisioned_throughput_is_paid_by_the_hour() -> None:
    """Its calls have no price, whatever its model is."""
    model = served(PROVISIONED, NOVA)
    config = make_config(prices={"batch": prices("1", "2")})
    for price in (list_price(model, AWS), config_price(config, model, AWS)):
        assert price.is_by_hour
        assert not price.is_known


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        (Answer(input_tokens=10, output_tokens=5), Decimal("0.02")),
        (Answer(input_tokens=10), Decimal("0.01")),
        (Answer(images=("x", "y")), Decimal("0.08")),
        (Answer(text="uncounted"), None),
        (Answer(output_tokens=5), None),
    ],
)
def test_a_cost_needs_a_count_and_a_price(answer: Answer, cost: Decimal | None) -> None:
    """An answer that counts nothing is not free: its cost is not known."""
    tokens = TokenPrices(input=Decimal(1), output=Decimal(2))
    assert CallPrice(tokens, Decimal("0.04")).cost(answer) == cost
    assert CallPrice().cost(answer) is None


def test_tokens_without_a_price_for_tokens_cost_what_is_not_known() -> None:
    """The prices of images say nothing about them."""
    assert CallPrice(image=Decimal(1)).cost(Answer(input_tokens=10)) is None


@pytest.mark.parametrize(
    ("sections", "model_id", "expected"),
    [
        # A single call costs twice the price of batch jobs.
        ({"prices": {"batch": prices("1", "2")}}, NOVA, prices("2", "4")),
        ({"prices": {"source": "none"}}, NOVA, None),
        (
            {
                "fallback": {"model_id": "amazon.nova-pro-v1:0"},
                "prices": {"fallback": prices("3", "4")},
            },
            "amazon.nova-pro-v1:0",
            prices("3", "4"),
        ),
    ],
)
def test_the_prices_of_a_config_come_first(
    sections: dict[str, Any], model_id: str, expected: dict[str, str] | None
) -> None:
    config = make_config(model={"id": NOVA}, **sections)
    price = config_price(config, served(model_id), AWS)
    wanted = None if expected is None else TokenPrices.model_validate(expected)
    assert price.tokens == wanted
    assert price.origin == (None if expected is None else "the config's own prices")


def test_the_prices_of_a_config_are_not_those_of_another_model() -> None:
    """Then the list counts; the price of an image is the config's for all models."""
    config = make_config(model={"id": NOVA}, prices={"batch": prices("1", "2"), "image": "0.5"})
    other = served("amazon.nova-pro-v1:0")
    price = config_price(config, other, AWS)
    assert price.tokens == list_price(other, AWS).tokens
    assert price.image == Decimal("0.5")
