"""Print a figure as one JSON object per line: `{name, value, unit, goal, better, detail}`."""

from __future__ import annotations

import json
import sys
from typing import Any


def report(
    name: str, value: float, unit: str, goal: float | None, better: str, **detail: Any
) -> None:
    """Print one figure. `better` is `lower` or `higher`; the goal of a figure may be null."""
    figure = {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "goal": goal,
        "better": better,
        "detail": detail,
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    sys.stdout.flush()
