"""The closing table: its lines add up to the rows of the source."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.cli.closing_table import closing_line, closing_table, row_lines
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.report import Report

ROWS = st.integers(0, 10**10)


def report_of(rows: int, outcomes: dict[str, int], by_fallback: int = 0, **more: Any) -> Report:
    values: dict[str, Any] = {
        "run_id": "run-abcdefgh",
        "run_uri": "s3://bucket/runs/one",
        "rows": rows,
        "records": rows,
        "sharing": 0,
        "outcomes": outcomes,
        "served_by": {"batch": outcomes.get("ok", 0) - by_fallback, "fallback": by_fallback},
        "unanswered": 0,
        "shards": 1,
        "jobs": {},
        "attempts": 1,
        "tokens": {"input": 1, "output": 1},
        "seconds": {},
        "findings": [],
        "state": "done",
    }
    return Report(**{**values, **more})


OUTCOMES = st.dictionaries(
    st.sampled_from(
        ["ok", "error", "missing", "invalid", "unfound", "rejected", "an outcome of tomorrow"]
    ),
    ROWS,
)


@given(OUTCOMES, ROWS, st.data())
def test_the_lines_add_up_to_the_rows_of_the_source(
    outcomes: dict[str, int], not_asked: int, data: st.DataObject
) -> None:
    """Whatever the outcomes are, and however many rows no stage has reached."""
    by_fallback = data.draw(st.integers(0, outcomes.get("ok", 0)))
    rows = sum(outcomes.values()) + not_asked
    report = report_of(rows, outcomes, by_fallback, unanswered=min(rows, 17))
    assert sum(count for _, count in row_lines(report)) == rows
    names = [name for name, _ in row_lines(report)]
    assert len(set(names)) == len(names)
    table = closing_table(report)
    shown = [int(v.replace(",", "")) for name, v in table if name.startswith("  ")]
    assert sum(shown) == rows
    assert dict(table)["rows in"] == f"{rows:,}"


@given(OUTCOMES, ROWS, st.integers(0, 10**6))
def test_also_if_the_counts_contradict_each_other(
    outcomes: dict[str, int], rows: int, served: int
) -> None:
    """Rows too many, or more served rows than ok ones: the difference has a line."""
    report = report_of(rows, outcomes, served_by={"batch": served, "fallback": 3})
    assert sum(count for _, count in row_lines(report)) == rows


def test_a_newcomer_can_read_it() -> None:
    """800 rows, of which 67 answers are invalid and 3 may still be answered."""
    outcomes = {"ok": 729, "error": 4, "missing": 0, "invalid": 67, "rejected": 0}
    report = report_of(800, outcomes, 20, unanswered=3, published="s3://lake/answers")
    assert row_lines(report) == [
        ("ok by batch", 709),
        ("ok by fallback", 20),
        ("errors", 4),
        ("invalid answers", 67),
        ("rejected", 0),
    ]
    assert ("unanswered", "3 of these may still get an answer") in closing_table(report)
    assert closing_line(report) == (
        "done: 729 of 800 rows answered; the results are in s3://lake/answers"
    )


def test_the_reasons_follow_the_rows() -> None:
    """With their number, and a record to look at."""
    reasons = [Reason("error", 400, f"kind {i}", 20 - i, "3kF9aBcDeFg") for i in range(12)]
    table = closing_table(report_of(800, {"ok": 1}, reasons=reasons, other_reasons=5))
    shown = [value for name, value in table if name == "reason"]
    assert shown[0] == "20 x error 400: kind 0 (such as record 3kF9aBcDeFg)"
    assert len(shown) == 10
    assert ("", "24 x another reason") in table


def test_rows_that_no_stage_has_reached_have_a_line() -> None:
    """As in the report of a run that the canary ended."""
    assert row_lines(report_of(10, {}))[-1] == ("not asked yet", 10)


def test_a_part_of_the_cost_without_a_price_is_named() -> None:
    """The sum lacks it. Parts that cost nothing are left out."""
    cost = {"total": 0.5, "canary": 0.5, "fallback": 0.0}
    report = report_of(10, {"ok": 10}, cost=cost, unpriced=["batch"])
    assert dict(closing_table(report))["cost"] == "$0.5000: $0.5000 canary, batch not known"
    report = report_of(10, {"ok": 10}, cost={"total": 0.0, "batch": 0.0})
    assert dict(closing_table(report))["cost"] == "$0.0000"


def test_a_reason_has_its_outcome_once() -> None:
    """Some messages begin with it, because the column error_message has no other place for it."""
    reasons = [Reason("refused", None, "refused: stop reason refusal", 2, "R1")]
    table = dict(closing_table(report_of(2, {"refused": 2}, reasons=reasons)))
    assert table["reason"] == "2 x refused: stop reason refusal (such as record R1)"


def test_each_model_and_tier_of_the_fallback_has_a_line() -> None:
    """If there are several. A price that is not known is not $0."""
    uses = [
        {"model_id": "m", "tier": "flex", "answers": 7, "cost_usd": 0.5},
        {"model_id": "old", "tier": "standard", "answers": 1_200, "cost_usd": None},
    ]
    uses = [use | {"tokens": {"input": 700, "output": 60}} for use in uses]
    cost = {"fallback": 0.5, "total": 0.5}
    unpriced = ["1,200 answers of old"]
    table = dict(
        closing_table(
            report_of(2, {"ok": 2}, 2, fallback_models=uses, cost=cost, unpriced=unpriced)
        )
    )
    assert table["fallback by"] == "2 models and tiers"
    assert table["  m, flex tier"] == "7 answers, 700 in, 60 out, $0.5000"
    assert table["  old"] == "1,200 answers, 700 in, 60 out, price not known"
    assert table["cost"] == "$0.5000: $0.5000 fallback, 1,200 answers of old not known"
    assert "fallback by" not in dict(closing_table(report_of(2, {"ok": 2})))


def test_kept_answers_have_a_line_with_what_they_save() -> None:
    """Without a price, without the dollars; a run without a store has no such line."""
    served = {"batch": 10, "fallback": 0, "kept": 50}
    report = report_of(60, {"ok": 60}, served_by=served, saved={"by_keeping": 1.234})
    text = "50 rows cost nothing: they were kept"
    assert dict(closing_table(report))["saved by answers"] == f"{text}, which saves $1.23"
    unpriced = report_of(60, {"ok": 60}, served_by=served)
    assert dict(closing_table(unpriced))["saved by answers"] == text
    assert "saved by answers" not in dict(closing_table(report_of(60, {"ok": 60})))
