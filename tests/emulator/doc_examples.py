"""Reads the examples of docs/emulator.md, so that the tests run the text that readers see."""

from __future__ import annotations

import re
from pathlib import Path

_DOC = Path(__file__).parents[2] / "docs" / "emulator.md"
NAMES = re.findall(r"^<!-- example: (\w+) -->$", _DOC.read_text("utf-8"), re.MULTILINE)


def example(name: str) -> str:
    """Return the code block after `<!-- example: name -->`; LookupError if there is none."""
    block = re.search(
        rf"<!-- example: {name} -->\n```\w+\n(.*?)```", _DOC.read_text("utf-8"), re.DOTALL
    )
    if block is None:
        raise LookupError(f"docs/emulator.md has no example {name}")
    return block.group(1)
