"""Pictures for the docs: with BEDROCK_SPARK_PICTURES=docs/pictures, tests write them there."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import FloatRect, Page

from tests.browser import SCREEN

_WIDTH = 1_000


def picture(page: Page, name: str, height: int | None = None, top: int = 0) -> None:
    """Write a picture of a page, if that is asked for.

    height: of the window, None for the whole page; top: where the picture begins
    """
    folder = os.environ.get("BEDROCK_SPARK_PICTURES")
    if folder:
        page.set_viewport_size({"width": _WIDTH, "height": height or 600})
        path = Path(folder) / f"{name}.png"
        if height is None:
            page.screenshot(path=path, full_page=True)
        else:
            part = FloatRect(x=0, y=top, width=_WIDTH, height=height - top)
            page.screenshot(path=path, clip=part)
        page.set_viewport_size({"width": SCREEN, "height": 844})
