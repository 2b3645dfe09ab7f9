"""The page of rows in Chromium: answers come one by one, and data is shown as text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Dialog, expect

from bedrock_emulator import LocalBedrock
from tests.e2e.ui.checks import check_as_it_is, check_page, open_page
from tests.e2e.ui.conftest import Serve
from tests.e2e.ui.pictures import picture
from tests.e2e.ui.rows_config import write_config

pytestmark = pytest.mark.long


def test_rows_are_asked_and_asked_again(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    with LocalBedrock(speed=0) as local:
        config = write_config(tmp_path, local)
        address = serve(config, "--allow-calls")
        check_page(browser, address, f"/rows?config={quote(config)}")
        watched = open_page(browser, address)
        page = watched.page
        expect(page.get_by_role("button", name="Ask 20 rows: at most $")).to_be_enabled()
        page.get_by_role("button", name="Ask row 7: at most $").click()
        expect(page.locator("#row-7 .tag")).to_have_text("ok")
        page.get_by_role("button", name="Ask 20 rows: at most $").click()
        expect(page.locator("#said")).to_have_text("20 of 20 answered")
        assert page.locator("tbody .tag.ok").count() == 20
        page.get_by_label("Prompt, with").fill("Sort: {{ body }}")
        expect(page.get_by_role("button", name="Ask all again")).to_be_disabled()
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_text("to an earlier request")).to_have_count(20)
        page.get_by_role("button", name="Ask 20 rows: at most $").click()
        expect(page.locator("#said")).to_have_text("20 of 20 answered")
        expect(page.locator("#row-5 mark")).to_have_text("sorted")
        expect(page.locator("#row-4 .tag.bad")).to_have_text("invalid")
        expect(page.locator(".sums")).to_contain_text("20 of 20 rows that were answered before")
        picture(page, "rows", 1_400, top=775)
        page.locator("#row-5 summary").click()
        expect(page.locator("#row-5 pre").first).to_contain_text("<script>window.hacked = 1")
        page.get_by_text("What differs from").click()
        expect(page.locator("#diff ins").first).to_be_visible()
        assert page.evaluate("window.hacked") is None
        check_as_it_is(watched, 1280)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the changed config").click()
        assert 'prompt: "Sort: {{ body }}"  # in English' in download.value.path().read_text()
        page.context.close()
        _check_that_leaving_asks(browser, address)


def _check_that_leaving_asks(browser: Browser, address: str) -> None:
    """Fields that were not applied are on the page only, so the browser asks before it goes."""
    page = browser.new_context().new_page()
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.goto(address)
    page.get_by_role("link", name="Open another config").click()
    expect(page.get_by_text("changed; paid here: $")).to_be_visible()
    page.get_by_role("link", name="tickets.yaml").click()
    expect(page.get_by_label("Prompt, with")).to_have_value("Sort: {{ body }}")
    assert asked == []
    page.get_by_label("Prompt, with").press_sequentially(" more")
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare*")
    assert asked == ["beforeunload"]
    page.context.close()


def test_an_empty_page_asks_for_a_config(browser: Browser, serve: Serve) -> None:
    check_page(browser, serve(), "/rows")
