"""`bedrock_spark.run`: what a caller in Python sees of a run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import bedrock_spark
from bedrock_spark import Pipeline, Progress, RowsWarning
from bedrock_spark.report import Report
from tests.unit.cli.test_closing_table import report_of
from tests.unit.fakes import make_config
from tests.unit.screen.test_progress_screen import Terminal

PROGRESS = Progress("collect", 7, 10, "a detail")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that calls `run`, for a run that ends with this report."""

    def run(report: Report, **options: Any) -> Any:
        def opened(config: Any, observe: Any = None, agreement: Any = None) -> Any:
            def run_all(*_: object) -> Report:
                observe(PROGRESS)
                return report

            return SimpleNamespace(
                run_all=run_all, results=lambda _: "rows", run=SimpleNamespace(config=make_config())
            )

        monkeypatch.setattr(Pipeline, "open", opened)
        return bedrock_spark.run(None, None, make_config(), **options)  # type: ignore[arg-type]

    return run


GOOD = report_of(100, {"ok": 96, "error": 4})


@pytest.mark.parametrize(
    ("options", "is_shown"),
    [
        ({}, True),
        ({"observe": True}, True),
        ({"observe": False}, False),
        ({"observe": None}, False),
    ],
)
def test_progress_is_shown_unless_it_is_silenced(
    call: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    is_shown: bool,
) -> None:
    """Also without a terminal: then as lines on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(GOOD, **options) == "rows"
    out, err = capsys.readouterr()
    assert out == ""
    assert bool(err) == is_shown
    assert ("7/10 records (70%); a detail" in err) == is_shown


def test_an_observer_wins(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a terminal."""
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    seen: list[Progress] = []
    call(GOOD, observe=seen.append)
    assert seen == [PROGRESS]
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ({"ok": 90, "error": 10}, "10 of 100 rows .* are not ok, more than results.max_errors"),
        ({"rejected": 100}, "all 100 rows were rejected"),
        ({"error": 60, "missing": 40}, "none of 100 rows is ok"),
    ],
)
def test_rows_above_the_limits_are_a_warning(
    call: Callable[..., Any], outcomes: dict[str, int], message: str
) -> None:
    """The rows are returned all the same: they are paid for."""
    with pytest.warns(RowsWarning, match=message) as caught:
        assert call(report_of(100, outcomes), observe=False) == "rows"
    assert len(caught) == 1
