"""The page: everything of report.json is on it, and nothing of anyone else's runs there."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.page import Sample, render
from bedrock_spark.report import Ending
from tests.unit.page.numbers import missing_numbers, text_of
from tests.unit.page.reports import BEGUN, FAILED, HOSTILE, job, jobs_of, report_json

INTERRUPTED = ", and the last command was interrupted."
REPORTS: dict[str, dict[str, Any]] = {
    "everything": {},
    "failed": {"ending": FAILED},
    "no job": {"jobs": {}},
    "two jobs at work": {
        "jobs": {str(n): job(n, 60.0 * n, 0, "InProgress", processed=17 + n) for n in range(2)}
    },
    "one short job": {"jobs": {"a": job(1, 5, 0.4)}},
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_number_of_the_report_is_on_the_page(name: str, tmp_path: Path) -> None:
    """In text, and not only in a chart."""
    report = report_json(str(tmp_path), **REPORTS[name])
    assert missing_numbers(report, text_of(render(report))) == []


def test_a_number_that_is_not_shown_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    report = report_json(str(tmp_path))
    text = text_of(render(report))
    report["tokens"]["input"] += 1
    assert missing_numbers(report, text) == [(".tokens.input", report["tokens"]["input"])]


def test_the_page_has_no_script_and_asks_nobody(tmp_path: Path) -> None:
    """A text of a row, of an error or of a label stays text, also in the title of a chart."""
    sample = Sample(HOSTILE, "ok", HOSTILE, (HOSTILE,))
    page = render(report_json(str(tmp_path), ending=FAILED), [sample])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 7
    assert re.findall(r'\s(?:src|href|action)=(?!"data:,")', page) == []
    assert re.findall(r"url\(|@import", page) == []
    assert "default-src 'none'" in page


def test_prompts_and_answers_are_shown_only_as_samples(tmp_path: Path) -> None:
    """The prompt of the config is hidden in report.json, too."""
    report = report_json(str(tmp_path))
    page = render(report)
    assert "Secret prompt" not in page
    assert "Secret prompt" not in str(report)
    assert "an answer" in render(report, [Sample("a1", "ok", "a prompt", ("an answer",))])


def test_a_browser_reads_the_page_again_only_while_the_run_goes_on(tmp_path: Path) -> None:
    report = report_json(str(tmp_path))
    assert 'http-equiv="refresh"' not in render(report)
    assert '<meta http-equiv="refresh" content="30">' in render(report, refresh_seconds=30)


@pytest.mark.parametrize(
    ("count", "slots"),
    [(8_000, 3), (8_000, 900), pytest.param(100_000, 40, marks=pytest.mark.long)],
)
def test_the_page_of_very_many_jobs_is_below_a_megabyte(
    count: int, slots: int, tmp_path: Path
) -> None:
    """So is report.json; all jobs are in its bars."""
    jobs = jobs_of(count, slots)
    report = report_json(str(tmp_path), jobs)
    page = render(report)
    assert len(page.encode()) < 1_000_000
    assert sum(bar["jobs"] for bar in report["timeline"]["bars"]) == len(jobs)
    assert missing_numbers(report["timeline"]["tokens"], text_of(page)) == []


def test_every_chart_has_a_table_and_every_table_a_caption(tmp_path: Path) -> None:
    """For readers who do not see the charts. Headings do not skip a level."""
    page = render(report_json(str(tmp_path)))
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) >= 8
    assert all("<table" in figure and "<h3" in figure for figure in figures)
    assert page.count("<table") == page.count("<caption")
    assert page.count("<svg") == page.count('aria-hidden="true" focusable="false"')
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


@pytest.mark.parametrize(
    ("outcomes", "state", "sentence"),
    [
        ({"ok": 3}, "done", "All 3 rows are answered."),
        ({"ok": 1}, "done", "The one row is answered."),
        ({"ok": 2, "error": 1}, "done", "2 of 3 rows are answered, 1 is not ok."),
        (
            {"ok": 1, "waiting": 5, "error": 2},
            "unfinished",
            "1 of 8 rows are answered, 5 wait and 2 are not ok, and there is more to do.",
        ),
        (
            {"waiting": 4},
            "failed",
            "0 of 4 rows are answered, 4 wait, and the last command failed.",
        ),
        ({}, "failed", "No row is prepared yet, and the last command failed."),
    ],
)
def test_the_outcome_is_one_sentence(
    outcomes: dict[str, int], state: str, sentence: str, tmp_path: Path
) -> None:
    report = report_json(str(tmp_path), {}, Ending(state, at=BEGUN))
    counts = {**dict.fromkeys(report["outcomes"], 0), **outcomes}
    rows = sum(counts.values())
    served = {"batch": counts["ok"], "fallback": 0}
    report = {**report, "rows": rows, "outcomes": counts, "served_by": served}
    assert f"<h1>{sentence}</h1>" in render(report)
