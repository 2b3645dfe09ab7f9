"""Chromium for tests of pages.

A test is skipped if there is no Chromium, which scripts/chromium.sh installs; with
BEDROCK_SPARK_REQUIRE_BROWSER=1 that is an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

PHONE, SCREEN = 390, 1280
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, and end it."""
    chosen = os.environ.get("CHROMIUM")
    path = next(filter(None, map(shutil.which, (chosen,) if chosen else _NAMES)), None)
    if path is None:
        why = "there is no Chromium on the PATH; scripts/chromium.sh installs it"
        if os.environ.get("BEDROCK_SPARK_REQUIRE_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    # Chromium's sandbox refuses to work for root, whom a container often runs as.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
