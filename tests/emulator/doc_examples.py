"""The examples of docs/emulator.md, so that what is shown is what is run."""

from __future__ import annotations

import re
from pathlib import Path

_DOC = Path(__file__).parents[2] / "docs" / "emulator.md"


def example(name: str) -> str:
    """Return the code block that follows `<!-- example: name -->`."""
    found = re.search(
        rf"<!-- example: {name} -->\n```\w+\n(.*?)```", _DOC.read_text("utf-8"), re.DOTALL
    )
    if found is None:
        raise LookupError(f"docs/emulator.md has no example {name}")
    return found.group(1)
