"""The page of a run in Chromium: at two widths, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page

from bedrock_spark import compare
from bedrock_spark.comparing.page import page_html
from bedrock_spark.page import Sample, render
from bedrock_spark.report import Ending
from tests.browser import PHONE, SCREEN, chromium
from tests.unit.comparing.doc_runs import write_doc_runs
from tests.unit.page.numbers import missing_numbers
from tests.unit.page.reports import FAILED, HOSTILE, jobs_of, report_json

pytestmark = pytest.mark.long

SAMPLES = (Sample("a1", "ok", HOSTILE + "x" * 900, (HOSTILE, '{"text": "yes"}')),)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Path]]:
    """Return reports, and their pages as files."""
    folder = tmp_path_factory.mktemp("pages")
    reports = {
        "everything": report_json(str(folder)),
        "many jobs": report_json(str(folder), jobs_of(2_000, 60)),
        "failed": report_json(str(folder), {}, FAILED),
        "done": report_json(str(folder), ending=Ending("done", "publish", at=FAILED.at)),
    }
    made = {}
    for name, report in reports.items():
        path = folder / f"{name}.html"
        path.write_text(render(report, SAMPLES), encoding="utf-8")
        made[name] = (report, path)
    return made


def opened(
    browser: Browser, path: Path, width: int, scheme: Literal["light", "dark"]
) -> tuple[Page, list[str]]:
    """Open a page; return it with what it said on the console, and what it asked for."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page, noted = context.new_page(), list[str]()
    page.on("console", lambda message: noted.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: noted.append(f"error: {error}"))
    page.on("dialog", lambda dialog: noted.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: noted.append(request.url))
    page.goto(path.as_uri())
    return page, noted


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_the_page_fits_and_asks_for_nothing_else(
    browser: Browser,
    pages: dict[str, tuple[dict[str, Any], Path]],
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    """No error on the console, no script, no horizontal scrolling, also with all tables open."""
    for _, path in pages.values():
        page, noted = opened(browser, path, width, scheme)
        assert noted == [path.as_uri()]
        assert page.locator("script").count() == 0
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.context.close()


def test_every_number_of_the_report_can_be_read(
    browser: Browser, pages: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    """As the browser renders it, with all tables open."""
    for report, path in pages.values():
        page, _ = opened(browser, path, PHONE, "light")
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert missing_numbers(report, page.inner_text("main")) == []
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_background(
    browser: Browser,
    pages: dict[str, tuple[dict[str, Any], Path]],
    scheme: Literal["light", "dark"],
) -> None:
    """At a contrast of 4.5 to 1 or more (https://www.w3.org/TR/WCAG22/#contrast-minimum)."""
    page, _ = opened(browser, pages["everything"][1], SCREEN, scheme)
    colors = page.evaluate(
        """[...document.querySelectorAll('h1, p, td, th, dt, dd, summary, h2, h3, li')]
        .map(e => getComputedStyle(e).color)
        .concat([...document.querySelectorAll('svg text')].map(e => getComputedStyle(e).fill))"""
    )
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    contrasts = {color: contrast(color, background) for color in colors}
    assert len(contrasts) >= 2
    assert min(contrasts.values()) >= 4.5, contrasts
    assert (luminance(background) < 0.2) == (scheme == "dark")


def test_only_one_drawing_of_the_flow_is_shown(
    browser: Browser, pages: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    """The one whose letters are not too small."""
    for width, shown in ((PHONE, ["narrow"]), (SCREEN, ["wide"])):
        page, _ = opened(browser, pages["everything"][1], width, "light")
        drawn = [n for n in ("wide", "narrow") if page.locator(f"svg.{n}").is_visible()]
        assert drawn == shown
        sizes = page.evaluate(
            """[...document.querySelectorAll('svg text')].filter(e => e.textContent.trim())
            .map(e => e.getBoundingClientRect().height).filter(h => h > 0)"""
        )
        assert min(sizes) >= 9
        page.context.close()


@pytest.mark.parametrize("width", [PHONE, SCREEN])
def test_the_page_of_a_comparison_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    """Wide tables scroll in themselves, by the keyboard too; texts of rows are texts."""
    write_doc_runs(tmp_path)
    runs = [str(tmp_path / "runs" / name) for name in ("nova", "haiku")]
    keys = [f"T-{number}" for number in range(12)]
    gold = pa.table({"ticket_id": keys, "label": [HOSTILE] * 12})
    found = compare(*runs, samples=5, gold=gold, gold_column="label")
    path = tmp_path / "compare.html"
    path.write_text(page_html(found), encoding="utf-8")
    page, noted = opened(browser, path, width, "dark")
    assert noted == [path.as_uri()]
    assert page.locator("script").count() == 0
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    text = page.inner_text("main")
    assert HOSTILE in text
    assert found.different is not None
    assert f"of {found.different.of:,} rows have the same outcome" in text
    boxes = page.locator("section > div").evaluate_all("all => all.map(e => e.tabIndex)")
    assert set(boxes) == {0}
    page.context.close()


def luminance(color: str) -> float:
    """Return the relative luminance of `rgb(1, 2, 3)`: https://www.w3.org/TR/WCAG22/."""
    parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
