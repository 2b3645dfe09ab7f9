"""What `plan` prints."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bedrock_spark.cli.plan_table import closing_sentence, plan_table
from bedrock_spark.planning.values import Count, Money, Plan

ROOT = Path(__file__).parents[3]
PLAN = Plan.model_validate_json((ROOT / "tests" / "data" / "plan.json").read_text())
OPEN = Money(low=Decimal("0.5"), likely=None, high=None)


def printed(plan: Plan) -> list[str]:
    rows = plan_table(plan)
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows]


FIRST = PLAN.model_copy(update={"was": None, "why": ()})


def test_the_output_in_the_docs_is_that_of_the_command() -> None:
    """Of a first run, and the lines that a later one has beside them."""
    text = (ROOT / "docs" / "plan.md").read_text()
    first, compared = re.findall(r"```text\n(.*?)```", text, re.DOTALL)[:2]
    closing = f"tickets.yaml: {closing_sentence(PLAN)}"
    assert first.splitlines() == [*printed(FIRST), closing]
    added = [line for line in printed(PLAN) if line not in printed(FIRST)]
    assert compared.splitlines() == added


def test_numbers_that_nothing_measures_or_bounds_are_intervals() -> None:
    tokens = Count(low=10, likely=None, high=None, how="no answer was measured")
    plan = PLAN.model_copy(update={"output_tokens": tokens, "cost": OPEN, "caveats": ("a", "b")})
    lines = printed(plan)
    assert "output       10 or more tokens; no answer was measured" in lines
    assert "cost         $0.5000 or more as configured" in lines
    assert lines[-2:] == ["note         a", "             b"]


def test_kept_answers_are_not_asked() -> None:
    """If all are kept, there is no job, and nothing to pay for."""
    source = PLAN.source.model_copy(update={"kept": 1_000, "records": 1_997})
    plan = PLAN.model_copy(update={"source": source})
    assert printed(plan)[0].startswith("rows         3,000: 1,997 records, 1,000 kept, 1 shares")
    assert "kept answers" in plan._repr_html_()
    none = PLAN.shards.model_copy(update={"shards": 0})
    whole = plan.model_copy(update={"shards": none, "pays": False, "to_ask": 0})
    assert "jobs         none: no record is asked" in printed(whole)
    assert "nothing to pay for" in closing_sentence(whole)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "the cost is not known, because a price is missing"),
        (OPEN, "a run would cost $0.5000 or more"),
        (OPEN.model_copy(update={"high": Decimal(2)}), "a run would cost $0.5000 to $2.00"),
        (OPEN.model_copy(update={"likely": Decimal(1)}), "a run would cost about $1.00"),
    ],
)
def test_the_closing_line_says_the_cost(cost: Money | None, said: str) -> None:
    assert closing_sentence(PLAN.model_copy(update={"cost": cost})) == (
        f"nothing was submitted; {said}"
    )


@pytest.mark.parametrize(
    ("to_ask", "cost", "said"),
    [
        (7, PLAN.cost, "7 of 2,997 records have no answer yet; all 2,997 records would cost about"),
        (None, PLAN.cost, "a collect counts what is left to ask; all 2,997 records would cost"),
        (7, None, "7 of 2,997 records have no answer yet; the cost is not known, because"),
        (2_997, PLAN.cost, "a run would cost about $0.1964"),
    ],
)
def test_the_cost_is_of_all_records_even_if_few_are_left(
    to_ask: int | None, cost: Money | None, said: str
) -> None:
    plan = PLAN.model_copy(update={"is_prepared": True, "to_ask": to_ask, "cost": cost})
    assert closing_sentence(plan).startswith(f"nothing was submitted; {said}")
