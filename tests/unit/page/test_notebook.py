"""Run, Plan and Report as tables in notebooks."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.page import render, summary, table
from bedrock_spark.page.words import rough_dollars
from bedrock_spark.planning.values import (
    Count,
    Money,
    PlannedSource,
    Way,
    Why,
)
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config
from tests.unit.page.numbers import text_of
from tests.unit.page.reports import HOSTILE, report_json
from tests.unit.planning.test_table import PLAN


def test_a_report_shows_its_outcome_and_its_numbers(tmp_path: Path) -> None:
    text = text_of(summary(report_json(str(tmp_path))))
    assert "9,871 of 10,457 rows are answered" in text
    assert "ok by batch 9,302 (89 %) ok by fallback 569 (5.4 %) errors 212 (2 %)" in text
    assert "tokens 1,560,223 in, 201,377 out cost $1.45" in text


def test_what_has_no_price_is_said_beside_the_cost(tmp_path: Path) -> None:
    """Else a sum of some parts would look like the cost of all."""
    report = report_json(str(tmp_path))
    assert "not known" not in text_of(render(report))
    for name, words in (("batch", "Batch jobs"), ("fallback", "Fallback")):
        cost = {key: value for key, value in report["cost"].items() if key != name}
        partly = {**report, "cost": cost, "unpriced": [name]}
        assert f"{name} not known" in text_of(summary(partly))
        assert f", {name} not known" in text_of(render(partly))
        assert f"{words} not known" in text_of(render(partly))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.000031, "$0.000031"),
        (0.0042, "$0.0042"),
        (0.1, "$0.10"),
        (1e3, "$1,000.00"),
    ],
)
def test_a_small_amount_has_no_exponent(amount: float, text: str) -> None:
    assert rough_dollars(amount) == text


def test_a_run_shows_what_it_is_and_reads_nothing(tmp_path: Path) -> None:
    run = Run(
        "run-a", make_config(), LocalStorage(str(tmp_path / "none")), AwsSettings("eu-west-1")
    )
    text = text_of(run._repr_html_())
    assert "run run-a" in text
    assert "Region eu-west-1 begun not yet" in text
    assert "prompt" not in text
    assert not (tmp_path / "none").exists()


def test_a_plan_shows_what_the_run_would_do_and_cost() -> None:
    """An end of an interval that nobody knows is said in words."""
    cost = Money(low=Decimal("0.0042"), likely=Decimal("12.5"), high=None)
    was = PLAN.was
    assert was is not None
    plan = PLAN.model_copy(
        update={
            "source": PlannedSource(rows=1_200, records=1_198, shared=0, rejected=2, reasons={}),
            "shards": PLAN.shards.model_copy(update={"shards": 1}),
            "jobs": PLAN.jobs.model_copy(update={"jobs": 1}),
            "input_tokens": Count(low=1_000, likely=1_250, high=1_500, how=""),
            "output_tokens": Count(low=7, likely=None, high=None, how=""),
            "cost": cost,
            "ways": (Way(way="flex", price="", cost=cost),),
            "why": (Why(reason="model changed", rows=1_198),),
            "was": was.model_copy(update={"run_uri": "s3://bucket/was", "cost": Decimal("1.5")}),
            "run_uri": "s3://bucket/run",
            "caveats": (HOSTILE, "this model ends in 41 days"),
        }
    )
    text = text_of(plan._repr_html_())
    assert "rows 1,200 records 1,198 rejected rows 2 asked because of model changed" in text
    assert "1,198 rows shards 1 batch jobs 1, 20 at once" in text
    assert "the last run 2,900 rows, 2,899 records, $1.50: s3://bucket/was run folder s3" in text
    assert "input tokens 1,250, 1,000 to 1,500 output tokens 7 to any number" in text
    assert "cost $12.50, $0.0042 to no upper bound asked by flex $12.50" in text
    assert text.endswith("this model ends in 41 days")
    assert "<script" not in plan._repr_html_()


def test_values_are_escaped_and_the_style_is_that_of_the_table_alone() -> None:
    """A rule for all tables would change those of the notebook."""
    made = table(HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], HOSTILE)
    assert "<script" not in made
    style = made.split("<style>")[1].split("</style>")[0]
    selectors = [part.split("{")[0].strip() for part in style.replace("@media", "}").split("}")]
    assert all(s.startswith((".bs", "(prefers")) for s in selectors if s)
