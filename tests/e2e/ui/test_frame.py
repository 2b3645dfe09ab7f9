"""The frame of all pages in Chromium: address, navigation, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.ui.checks import check_page, open_page
from tests.e2e.ui.conftest import Serve

pytestmark = pytest.mark.long


def test_the_printed_address_opens_the_first_page(
    browser: Browser, serve: Serve, tmp_path: Path
) -> None:
    """The token is gone from the address bar, and the next page needs none."""
    address = serve(str(tmp_path))
    watched = open_page(browser, address)
    assert "token" not in watched.page.url
    assert watched.page.inner_text("h1") == "Runs"
    watched.page.reload()
    assert watched.page.inner_text("h1") == "Runs"
    assert watched.errors == []


@pytest.mark.parametrize("path", ["/", "/?prefix=%2Fno%2Fsuch%2Ffolder"])
def test_pages_of_the_frame(browser: Browser, serve: Serve, path: str) -> None:
    check_page(browser, serve(), path)


def test_an_address_without_its_token_shows_nothing(browser: Browser, serve: Serve) -> None:
    address = serve()
    watched = open_page(browser, address.partition("/?")[0])
    assert "it has the token" in watched.page.inner_text("main")
    assert sorted(e.partition(":")[0] for e in watched.errors) == ["console", "status"]
