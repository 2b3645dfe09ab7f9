"""Whether enough rows of a run have an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedrock_spark.config import ResultsConfig
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.row_limits import RowCounts, shortfall
from tests.unit.fakes import make_config

NOT_OK = ("error", "invalid", "truncated", "refused", "missing", "unfound")
OUTCOMES = ("ok", *NOT_OK, "rejected")


def config(
    max_errors: Any = 0.05, fallback: bool = False, max_rejects: Any = None, **request: str
) -> Any:
    return make_config(
        request={"prompt": "{{ x }}", "max_tokens": 9, **request},
        source={"key": ["id"], "max_rejects": max_rejects},
        results={"max_errors": max_errors},
        fallback={"model_id": "anthropic.claude-haiku-4-5-20251001-v1:0"} if fallback else None,
    )


def counts(unanswered: int = 0, **outcomes: int) -> RowCounts:
    return RowCounts(sum(outcomes.values()), outcomes, unanswered)


@pytest.mark.parametrize("outcome", NOT_OK)
@pytest.mark.parametrize(
    ("failed", "limit", "is_short"),
    [
        (5, 0.05, False),
        (6, 0.05, True),
        (6, 6, False),
        (7, 6, True),
        (1, 0, True),
        (99, 1.0, False),
    ],
)
def test_more_rows_without_an_answer_than_the_limit(
    outcome: str, failed: int, limit: float, is_short: bool
) -> None:
    """As a share or as a number of rows, whatever the reason."""
    rows = counts(ok=100 - failed, **{outcome: failed})
    message = shortfall(rows, config(limit))
    assert (message is not None) == is_short
    if message is not None:
        assert f"{failed} of 100 rows" in message.text
        assert "results.max_errors" in message.text


@pytest.mark.parametrize("outcome", [*NOT_OK, "rejected"])
def test_a_run_that_yields_nothing_is_never_good(outcome: str) -> None:
    """However high the limits are."""
    loose = config(1.0, max_rejects=1.0)
    assert shortfall(counts(**{outcome: 50}), loose) is not None
    assert shortfall(counts(ok=1, **{outcome: 50}), loose) is None


def test_rejected_rows_have_a_limit_of_their_own() -> None:
    """They are no errors."""
    rows = counts(ok=50, rejected=50)
    assert shortfall(rows, config(0.0)) is None
    assert "source.max_rejects" in str(shortfall(rows, config(max_rejects=0.1)))
    source = config(max_rejects=0.1).source.model_copy(update={"on_duplicate_key": "first"})
    leaves_out = config().model_copy(update={"source": source})
    assert shortfall(rows, leaves_out) is None  # they may be rows that the config leaves out


def test_rows_that_the_fallback_may_still_answer() -> None:
    """After the fallback none may be left."""
    rows = counts(unanswered=3, ok=97, missing=3)
    assert "3 of 100 rows are still unanswered" in str(shortfall(rows, config(fallback=True)))
    assert shortfall(rows, config()) is None  # nothing would ask them


@pytest.mark.parametrize("outcome", ["truncated", "refused"])
def test_answers_that_the_user_keeps_are_not_wrong(outcome: str) -> None:
    """They are not ok all the same: the other one, and an error, still count."""
    keeps = config(0, **{f"on_{outcome}": "keep"})
    for choice in ("error", "keep"):
        other = config(0, **{f"on_{outcome}": choice})
        assert (shortfall(counts(ok=1, **{outcome: 1}), other) is None) is (choice == "keep")
    assert shortfall(counts(**{outcome: 50}), keeps) is None
    others = {"truncated", "refused", "error"} - {outcome}
    for other_outcome in others:
        problem = shortfall(counts(ok=1, **{outcome: 1, other_outcome: 1}), keeps)
        assert problem is not None
        assert "1 of 3 rows" in problem.text
        assert outcome not in problem.outcomes


@given(st.dictionaries(st.sampled_from(OUTCOMES), st.integers(0, 10**9)), st.floats(0, 1))
def test_a_higher_limit_never_makes_a_run_worse(outcomes: dict[str, int], limit: float) -> None:
    """And a run without failures passes each limit."""
    rows = counts(**outcomes)
    if shortfall(rows, config(limit)) is None:
        assert shortfall(rows, config(1.0)) is None
    if not any(count for name, count in outcomes.items() if name != "ok"):
        assert shortfall(rows, config(limit)) is None


def test_the_commonest_reasons_are_told_if_they_belong_to_it() -> None:
    """Not those of rejected rows, if errors are too many; each with a record to look at."""
    reasons = [
        Reason("rejected", None, "body is null", 900),
        Reason("error", 400, "the text is too long", 30, "3kF9aBcDeFg"),
        *(Reason("invalid", None, f"lacks the column {i}", 9 - i) for i in range(5)),
    ]
    few = shortfall(counts(ok=50, error=50), config())
    assert few is not None
    assert few.with_reasons(reasons) == (
        "50 of 100 rows (50.0%) are not ok, more than results.max_errors (5%). The commonest "
        "reasons: 30 x error 400: the text is too long (such as record 3kF9aBcDeFg); "
        "9 x invalid: lacks the column 0; 8 x invalid: lacks the column 1"
    )
    none = shortfall(counts(rejected=900), config())
    assert none is not None
    assert none.with_reasons(reasons).endswith("900 x rejected: body is null")
    assert none.with_reasons(()) == none.text


@pytest.mark.parametrize(("value", "limit"), [("5%", 0.05), (0.1, 0.1), (100, 100), ("1%", 0.01)])
def test_a_limit_is_a_share_or_a_number_of_rows(value: Any, limit: float) -> None:
    """Written as in `source.max_rejects`."""
    parsed = ResultsConfig(max_errors=value).max_errors
    assert (parsed, type(parsed)) == (limit, type(limit))


@pytest.mark.parametrize("value", [-1, 1.5, "x%", -0.1])
def test_other_limits_are_refused(value: Any) -> None:
    """A share above 1 is a misunderstanding."""
    with pytest.raises(ValidationError, match="a share"):
        ResultsConfig(max_errors=value)
