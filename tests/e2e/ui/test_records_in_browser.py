"""Rows, one record and a comparison in Chromium, with data that would like to be a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pytest
from playwright.sync_api import Browser

from tests import compared_runs
from tests.e2e.ui.checks import check_as_it_is, check_page, open_page
from tests.e2e.ui.conftest import Serve
from tests.e2e.ui.pictures import picture
from tests.unit.browse.run_of_rows import REJECTS, row, shard, write_run

pytestmark = pytest.mark.long

HOSTILE = "<script>alert('row')</script><img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 240 rows, some of them not ok, one hostile, one rejected."""
    made: dict[str, list[dict[str, Any]]] = {
        shard(i): [row(i * 80 + n, label=("bug", "wish")[n % 2]) for n in range(80)]
        for i in range(3)
    }
    made[shard(1)][7] = row(87, text=HOSTILE, label=HOSTILE, body=HOSTILE)
    made[shard(2)][3] = row(163, "error", error_code=500, error_message=f"failed: {HOSTILE}")
    made[REJECTS] = [row(900, "rejected", error_message="body: is null")]
    write_run(tmp_path / "tickets", made)
    return tmp_path


def records(folder: Path, **query: str) -> str:
    return f"/run/records?{urlencode({'uri': str(folder / 'tickets'), **query})}"


def test_a_hostile_row_is_found_by_keyboard_and_shown_as_text(
    browser: Browser, serve: Serve, folder: Path
) -> None:
    """From the form to the row, and to its record: no script of the data runs."""
    address = serve(str(folder))
    watched = open_page(browser, address)
    page = watched.page
    page.goto(f"{address.partition('/?')[0]}{records(folder)}")
    page.get_by_label("Text of source or answer has").focus()
    page.keyboard.type("ONERROR")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    rows = page.locator("table.rows tbody tr")
    assert rows.count() == 2
    assert page.locator("mark").first.inner_text() == "onerror"
    assert HOSTILE in rows.nth(0).inner_text()
    check_as_it_is(watched, 1280)
    at = page.url
    rows.nth(0).get_by_role("link").first.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert HOSTILE in page.locator("table.pairs").first.inner_text()
    page.goto(at)
    page.get_by_label("Group of errors").select_option(index=2)
    page.get_by_label("Text of source or answer has").fill("")
    with page.expect_navigation():
        page.get_by_role("button", name="Show").click()
    assert rows.count() == 1
    assert "failed:" in rows.inner_text()
    assert [error for error in watched.errors if "dialog" in error] == []


def test_pages_follow_each_other(browser: Browser, serve: Serve, folder: Path) -> None:
    address = serve(str(folder))
    watched = open_page(browser, address)
    page = watched.page
    page.goto(f"{address.partition('/?')[0]}{records(folder)}")
    picture(page, "records", 800, top=112)
    seen = []
    while True:
        seen += page.locator("table.rows tbody tr td:nth-child(3)").all_inner_texts()
        following = page.get_by_role("link", name="Next rows")
        if not following.count():
            break
        with page.expect_navigation():
            following.click()
    assert len(seen) == 241
    assert len(set(seen)) == 241
    assert watched.errors == []


def test_pages_of_rows_of_a_record_and_of_a_comparison(
    browser: Browser, serve: Serve, folder: Path
) -> None:
    types = {"id": pa.int64(), "label": pa.string()}
    for name in "ab":
        made = [
            {"id": i, "record_id": f"{i:011d}", "text": HOSTILE, "label": f"{name} {HOSTILE}"}
            for i in range(30)
        ]
        compared_runs.write_run(folder / name, made, types, parse="label string")
    address = serve(str(folder))
    check_page(browser, address, records(folder))
    check_page(browser, address, records(folder, sort="output_tokens", desc="1", text="question"))
    at = urlencode({"uri": str(folder / "tickets"), "at": f"{REJECTS}.0.0"})
    check_page(browser, address, f"/run/record?{at}")
    compared = urlencode({"a": str(folder / "a"), "b": str(folder / "b")})
    check_page(browser, address, f"/compare?{compared}")
    check_page(browser, address, "/compare")
