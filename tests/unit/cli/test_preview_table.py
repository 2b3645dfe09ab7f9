"""The lines of a preview."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bedrock_spark.cli import main
from bedrock_spark.cli.preview_table import TableLayout, prompt_lines
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.preview.values import AnsweredRow, Estimate, is_same
from bedrock_spark.preview.words import answer_text, estimate_line

TEXTS = st.text(max_size=60)


def answered(**values: Any) -> AnsweredRow:
    return AnsweredRow(**{"number": 1, "row": {"id": "T-1"}, "outcome": "ok", **values})


@given(key=TEXTS, texts=st.lists(TEXTS, min_size=2, max_size=2), width=st.integers(20, 200))
def test_a_row_is_one_line_whose_columns_stand_below_the_header(
    key: str, texts: list[str], width: int
) -> None:
    """Whatever an answer holds: wide characters, line breaks, control characters."""
    layout = TableLayout(width, ("id",), (("label",),))
    row = answered(row={"id": key}, columns={"label": texts[0]}, cost=Decimal("0.5"), seconds=1.25)
    header, line = layout.header(["a"])[0], layout.line([row])
    assert line.isprintable()
    assert cell_len(line) == cell_len(header)
    pair = TableLayout(width, ("id",), ((), ("label",)))
    other = answered(row={"id": key}, text=texts[1])
    together = pair.line([other, row])
    assert together.isprintable()
    assert together.endswith(("same", "differ"))
    assert width < 120 or cell_len(together) <= width


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"text": "Yes."}, "Yes."),
        ({"tool_input": '{"a": 1}'}, '{"a": 1}'),
        ({"vector": 1024}, "a vector of 1,024 numbers"),
        ({"images": 1}, "an image"),
        ({"images": 3}, "3 images"),
        ({"outcome": "error", "reason": "no", "error_code": 400}, "400 no"),
        ({"outcome": "invalid", "reason": "no JSON", "text": "Yes."}, "no JSON: Yes."),
    ],
)
def test_an_answer_is_shown_as_one_text(values: dict[str, Any], text: str) -> None:
    assert answer_text(answered(**values)) == text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"low": "0.1", "high": "0.5", "price": "$1"}, "costs at most $0.5000"),
        ({"low": "0.1", "high": None, "price": "$1"}, "costs $0.1000 or more"),
        ({"low": "0", "high": "0", "price": None}, "the cost is not known"),
    ],
)
def test_what_a_preview_may_cost_is_said_before(values: dict[str, Any], line: str) -> None:
    estimate = Estimate(rows=2, input_tokens=1500, **values)
    said = estimate_line(estimate, "m")
    assert said.startswith("asks m about 2 rows, 1,500 tokens in")
    assert said.endswith(line)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "$0.0000"), ("0.0000012345", "$0.0000012"), ("0.0001", "$0.0001"), ("12.345", "$12.34")],
)
def test_a_small_amount_has_two_digits(amount: str, text: str) -> None:
    assert small_dollars(Decimal(amount)) == text


@given(text=TEXTS)
def test_a_request_changes_nothing_on_the_terminal(text: str) -> None:
    request = {"prompt": text, "image": "aGVsbG8" * 1_000}
    lines = prompt_lines(answered(request=request))
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 4
    assert max(map(len, lines)) < 500


def test_rows_that_no_config_has_an_answer_for_are_neither_the_same_nor_different() -> None:
    """Two calls that failed, or were not made, say nothing about the two prompts."""
    layout = TableLayout(160, ("id",), ((), ()))
    for outcome in ("rejected", "missing", "error"):
        none = answered(outcome=outcome, reason="no")
        assert not layout.line([none, none]).endswith(("same", "differ"))
        assert layout.line([none, answered(text="Yes.")]).endswith("differ")


@pytest.mark.parametrize("sum_of_money", ["nan", "inf"])
def test_a_limit_of_money_is_a_number(sum_of_money: str) -> None:
    done = CliRunner().invoke(main, ["preview", "a.yaml", "--max-cost", sum_of_money])
    assert (done.exit_code, "is not a sum of dollars" in done.stderr) == (2, True)


def test_answers_are_compared_by_their_columns() -> None:
    """Two texts may say the same; two outcomes do not."""
    one = answered(text='{"label": "a"}', columns={"label": "a"})
    assert is_same(one, answered(text='Here: {"label":"a"}', columns={"label": "a"}))
    assert not is_same(one, answered(text="b", columns={"label": "b"}))
    assert not is_same(one, answered(outcome="truncated", columns={"label": "a"}))
    assert is_same(answered(text="Yes. "), answered(text="Yes."))
