"""A budget needs a price for everything that can be asked."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.check import check_config, list_prices
from bedrock_spark.costs.used import check_prices, missing_prices
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import CLAUDE, CLAUDE_MODEL, PROVISIONED, config_values, make_config

CREATED = {"model_id": CLAUDE_MODEL, "create": {"model_units": 2, "confirm": True}}
ONE = {"input": "0.001", "output": "0.001"}
NO_BATCH_PRICE = "anthropic.claude-sonnet-5"


def missing(**sections: Any) -> list[str]:
    config = make_config(budget={"max_cost_usd": 5}, **sections)
    return list(missing_prices(config, list_prices(config)))


@pytest.mark.parametrize(
    ("prices", "fallback", "text"),
    [
        ({}, {"model_id": CLAUDE}, "prices.fallback: {input"),
        ({}, {"model_id": PROVISIONED}, "set both to 0"),
        ({"fallback": {"input": 0, "output": 0}}, {"model_id": PROVISIONED}, None),
        ({}, CREATED, "prices.model_unit_hour, in dollars per model unit and hour"),
        ({"fallback": ONE}, CREATED, "prices.model_unit_hour"),
        ({"model_unit_hour": 21.18}, CREATED, None),
        ({"model_unit_hour": 21.18}, {"model_id": CLAUDE}, "prices.fallback: {input"),
    ],
)
def test_a_budget_needs_a_price_for_everything_that_can_be_asked(
    prices: dict[str, Any], fallback: dict[str, Any], text: str | None
) -> None:
    """What has no price could cost any amount."""
    found = missing(prices={"source": "none", "batch": ONE, **prices}, fallback=fallback)
    assert len(found) == (text is not None)
    assert all(each.startswith("budget.max_cost_usd needs ") for each in found)
    assert text is None or text in found[0]


def test_list_prices_are_enough_for_a_budget() -> None:
    """The table has a batch price and an on-demand price of both models."""
    model = {"id": "us.anthropic.claude-haiku-4-5-20251001-v1:0"}
    assert missing(model=model, fallback={"model_id": "openai.gpt-oss-20b-1:0"}) == []


def test_a_missing_price_is_named_with_its_model_and_the_line_to_type() -> None:
    """The price on demand is named as a help, and not taken: batch may cost any share of it."""
    config = make_config(model={"id": NO_BATCH_PRICE}, budget={"max_cost_usd": 5})
    with pytest.raises(ConfigError) as caught:
        check_prices(config, list_prices(config))
    text = str(caught.value)
    assert text.startswith(
        "budget.max_cost_usd needs prices.batch: {input: …, output: …}, in dollars per 1,000 "
        f"tokens: the batch price of {NO_BATCH_PRICE} is not in litellm "
    )
    assert text.endswith("(on demand, it is 0.002 in, 0.01 out per 1,000)")


def test_the_check_of_a_config_names_all_missing_prices_at_once() -> None:
    """Each in a line of its own, with the other problems."""
    values = config_values(
        prices={"source": "none"}, fallback={"model_id": CLAUDE}, budget={"max_cost_usd": 5}
    )
    with pytest.raises(ConfigError) as caught:
        check_config(values)
    text = str(caught.value)
    assert "2 problems" in text
    assert "needs prices.batch" in text
    assert "needs prices.fallback" in text


def test_without_a_budget_no_price_is_needed() -> None:
    """The cost is not shown then."""
    config = make_config(prices={"source": "none"}, fallback={"model_id": CLAUDE})
    assert list(missing_prices(config, list_prices(config))) == []
