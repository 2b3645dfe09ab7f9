"""The paragraphs of docs/errors.md, one for each error and each kind of exit code.

The package has the page, so that `bedrock-spark help` prints it on machines without a browser.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path

# The name of the page in an installed package, in a zip, and in the archive of a cluster.
FILE = "errors.md"
_SECTION = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]*)\)")


def error_page() -> str:
    """Return docs/errors.md, from the package or from the clone that it is in."""
    package = resources.files("bedrock_spark")
    packaged, clone = package / FILE, Path(str(package)).parent / "docs" / FILE
    return (packaged if packaged.is_file() else clone).read_text(encoding="utf-8")


@cache
def topics() -> dict[str, str]:
    """Return the paragraphs of docs/errors.md by name, as plain text."""
    return {name: _plain(text.strip()) for name, text in _SECTION.findall(error_page())}


def _plain(text: str) -> str:
    """Return Markdown as a person reads it on a terminal: links by their page, no marks."""
    return _LINK.sub(_name_of_link, text).replace("`", "").replace("**", "")


def _name_of_link(link: re.Match[str]) -> str:
    text, target = link.groups()
    if target.startswith("#"):
        return text
    page = target if "://" in target else f"docs/{target}"
    return page if text in target else f"{text} ({page})"
