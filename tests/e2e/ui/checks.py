"""What must hold for each page: it fits, it makes no error, and the keyboard reaches everything."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Response

from tests.browser import PHONE, SCREEN

Scheme = Literal["light", "dark"]
_CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
# The controls that a user sees and that are not switched off, and a mark for each.
_MARK = """(controls) => {
    let marked = 0;
    for (const e of document.querySelectorAll(controls)) {
        const box = e.getBoundingClientRect();
        const seen = e.checkVisibility() && box.width > 0 && box.height > 0
            && !e.disabled && e.tabIndex >= 0
            && getComputedStyle(e).visibility !== 'hidden' && !e.closest('[inert]');
        const radio = e.type === 'radio' && !e.checked;
        if (seen && !radio) e.dataset.control = String(marked++);
    }
    return marked;
}"""
_UNNAMED = """() => [...document.querySelectorAll(
        'input:not([type=hidden]), select, textarea, button')]
    .filter(e => !(e.labels && e.labels.length) && !e.getAttribute('aria-label')
        && !e.getAttribute('aria-labelledby') && !(e.tagName === 'BUTTON' && e.textContent.trim()))
    .map(e => e.outerHTML.slice(0, 120))"""
_CONTRASTS = """() => {
    const parts = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => parts(c).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const color = parts(getComputedStyle(e).backgroundColor);
            if (color.length < 4 || color[3] === 1) return getComputedStyle(e).backgroundColor;
        }
        return 'rgb(255, 255, 255)';
    };
    const found = {};
    const texts = 'h1,h2,h3,p,td,th,dt,dd,summary,li,a,label,button,pre';
    for (const e of document.querySelectorAll(texts)) {
        if (!e.innerText.trim() || e.disabled || !e.getClientRects().length) continue;
        const color = getComputedStyle(e).color, back = behind(e);
        const [a, b] = [light(color), light(back)].sort((x, y) => x - y);
        const ratio = (b + 0.05) / (a + 0.05);
        if (ratio < 4.5) found[`${color} on ${back}`] = [ratio, e.outerHTML.slice(0, 100)];
    }
    return found;
}"""


class Watched:
    """A page of a browser, and what went wrong on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self._host = urlsplit(address).netloc
        page.on("console", lambda m: self._note("console", m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", lambda dialog: self._note("dialog", dialog.message))
        page.on("response", self._look)

    def _note(self, kind: str, text: str) -> None:
        self.errors.append(f"{kind}: {text}")

    def _look(self, response: Response) -> None:
        url = urlsplit(response.url)
        if url.scheme in ("http", "https") and url.netloc != self._host:
            self._note("outside", response.url)
        elif response.status >= 400:
            self._note("status", f"{response.status} {url.path}")


def open_page(
    browser: Browser, address: str, width: int = SCREEN, scheme: Scheme = "light"
) -> Watched:
    """Open an address in a context of its own."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    watched = Watched(context.new_page(), address)
    watched.page.goto(address)
    return watched


def check_page(browser: Browser, address: str, path: str) -> None:
    """Check a page at two widths, light and dark. address: as the command printed it."""
    root = address.partition("/?")[0]
    for width in (PHONE, SCREEN):
        for scheme in ("light", "dark"):
            watched = open_page(browser, address, width, scheme)
            watched.page.goto(f"{root}{path}")
            check_as_it_is(watched, width)
            watched.page.context.close()


def check_as_it_is(watched: Watched, width: int) -> None:
    """Check a page in its present state."""
    page = watched.page
    assert watched.errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1
    assert page.title().endswith("bedrock-spark")
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_CONTRASTS) == {}
    assert unreached_controls(page) == []


def unreached_controls(page: Page) -> list[str]:
    """Return the controls that the Tab key does not reach, from the top of the page."""
    count = page.evaluate(_MARK, _CONTROLS)
    page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    reached: set[str] = set()
    for _ in range(3 * count + 10):
        page.keyboard.press("Tab")
        mark = page.evaluate("document.activeElement.dataset.control ?? null")
        if mark is not None:
            reached.add(mark)
        if len(reached) == count:
            break
    missing = [str(i) for i in range(count) if str(i) not in reached]
    return [
        str(page.evaluate("i => document.querySelector(`[data-control='${i}']`).outerHTML", i))
        for i in missing
    ]
