"""docs/costs.md: its example is computed by the code that makes a plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bedrock_spark.check import check_config, list_prices
from bedrock_spark.costs.tokens import Tokens, dollars
from bedrock_spark.planning.costs import Usage, cost_of_run, ways_of
from bedrock_spark.planning.values import Count
from tests.docs import ROOT, table_rows
from tests.models import NOVA
from tests.unit.fakes import config_values

PAGE = (ROOT / "docs" / "costs.md").read_text("utf-8")
ROWS, IN, OUT, LEFT, TRIES = 1_000_000, 150, 30, 20_000, 5


def config(**sections: Any) -> Any:
    values = {**config_values(model={"id": NOVA}), "fallback": {"model_id": NOVA}, **sections}
    values["batch"] = {**values["batch"], "region": "us-east-1"}
    return check_config(values)


def count(number: int) -> Count:
    return Count(low=number, likely=number, high=number, how="")


def usage(records: int, **more: Any) -> Usage:
    return Usage(records, count(records * IN), count(records * OUT), 0, **more)


def test_the_example_is_what_the_code_computes() -> None:
    """Each line by itself: tokens times prices of the table of the package."""
    prices = list_prices(config())
    rows = {name: cost for name, _, cost in table_rows(PAGE, ("part", "computed", "dollars"))}
    batch = cost_of_run(usage(ROWS), prices)
    with_canary = cost_of_run(usage(ROWS, tries=TRIES), prices)
    assert batch is not None
    assert with_canary is not None
    left = Tokens(LEFT * IN, LEFT * OUT).cost(prices.fallback, None)
    ways = {way.way: way.cost.low for way in ways_of(usage(ROWS), prices, [NOVA])}
    fewer = cost_of_run(usage(ROWS * 7 // 10), prices)
    assert fewer is not None
    assert list(rows.values()) == [
        dollars(amount)
        for amount in (
            *(batch.low, left, with_canary.low - batch.low, with_canary.low + left),
            *(ways["on demand"], fewer.low),
        )
    ]


def test_the_factors_of_the_example_are_those_of_the_code() -> None:
    """Tokens, and dollars per million of them."""
    prices = list_prices(config())
    text = " ".join(
        computed for _, computed, _ in table_rows(PAGE, ("part", "computed", "dollars"))
    )
    for price, records in (
        (prices.batch, ROWS),
        (prices.fallback, LEFT),
        (prices.of_canary, TRIES),
    ):
        assert price is not None
        tokens_in, tokens_out = f"{records * IN:,}", f"{records * OUT:,}"
        assert (
            f"{tokens_in} x ${_million(price.input)} + {tokens_out} x ${_million(price.output)}"
            in text.replace("\N{MULTIPLICATION SIGN}", "x")
        )


def test_the_price_of_a_long_prompt_is_right() -> None:
    """1,000 tokens in front of each question."""
    prompt = Tokens(ROWS * 1_000, 0).cost(list_prices(config()).batch, None)
    assert f"1,000 tokens of instructions in front\nof each question cost {dollars(prompt)}" in PAGE


def _million(per_thousand: Decimal) -> str:
    return f"{per_thousand * 1_000:.2f}"
