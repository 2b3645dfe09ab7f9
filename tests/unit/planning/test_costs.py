"""The money of a plan, computed here by hand."""

from __future__ import annotations

from decimal import Decimal

from bedrock_spark.config import TokenPrices
from bedrock_spark.planning.costs import Usage, cost_of_run, ways_of
from bedrock_spark.planning.values import Count
from bedrock_spark.prices import RunPrices

BATCH = TokenPrices(input=Decimal(1), output=Decimal(2))
ONLINE = TokenPrices(input=Decimal(2), output=Decimal(4))
IN = Count(low=900, likely=1000, high=1100, how="")
OUT = Count(low=100, likely=None, high=500, how="")


def usage(**changes: object) -> Usage:
    values: dict[str, object] = {"records": 10, "input": IN, "output": OUT, "images": 0}
    return Usage(**{**values, **changes})  # type: ignore[arg-type]


def test_a_run_costs_its_batch_tokens_and_the_canary() -> None:
    cost = cost_of_run(usage(tries=1), RunPrices(batch=BATCH))
    assert cost is not None
    # 0.9 * $1 + 0.1 * $2, and a tenth of the tokens on demand, at twice the price.
    assert cost.low == Decimal("1.1") + Decimal("0.22")
    assert cost.likely is None
    assert cost.high == Decimal("2.1") + Decimal("0.42")


def test_small_shards_cost_the_price_of_the_fallback() -> None:
    online = usage(
        online_bytes=0.5, online_records=5, output=OUT.model_copy(update={"likely": 200})
    )
    cost = cost_of_run(online, RunPrices(batch=BATCH, fallback=ONLINE))
    assert cost is not None
    assert cost.likely == Decimal("0.5") + Decimal("0.2") + Decimal("1") + Decimal("0.4")


def test_a_missing_price_makes_the_cost_unknown() -> None:
    assert cost_of_run(usage(), RunPrices()) is None
    assert cost_of_run(usage(online_records=1, online_bytes=0.1), RunPrices(batch=BATCH)) is None
    assert cost_of_run(usage(online_records=10, online_bytes=1.0), RunPrices(fallback=ONLINE))


def test_an_answer_without_a_bound_has_no_highest_cost() -> None:
    endless = usage(output=Count(low=1, likely=None, high=None, how=""))
    cost = cost_of_run(endless, RunPrices(batch=BATCH))
    assert cost is not None
    assert cost.high is None


def test_images_cost_by_their_number() -> None:
    drawn = usage(images=10)
    prices = RunPrices(image=Decimal("0.04"))
    cost = cost_of_run(drawn, prices)
    assert cost is not None
    assert cost.low == cost.high == Decimal("0.40")
    assert [way.way for way in ways_of(drawn, prices, ["m"])] == ["images"]


def test_ways_that_have_a_price_stand_side_by_side() -> None:
    ways = {way.way: way.cost.low for way in ways_of(usage(), RunPrices(batch=BATCH), ["m"])}
    assert ways == {"batch": Decimal("1.1"), "on demand": Decimal("2.2")}
