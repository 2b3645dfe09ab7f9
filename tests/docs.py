"""The tables of the docs, for tests that run their examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATES = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")


def table_rows(text: str, header: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the rows of every table with this header, each cell without its backticks."""
    first = re.escape(f"| {' | '.join(header)} |")
    for table in re.findall(rf"^{first}\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE):
        for line in table.splitlines():
            cells = re.split(r"(?<!\\)\|", line.strip("|"))
            yield [_cell(cell) for cell in cells]


def _cell(text: str) -> str:
    text = text.strip().replace("\\|", "|")
    return text[1:-1] if text.startswith("`") and text.endswith("`") else text
