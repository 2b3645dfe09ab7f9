"""Two contenders that take turns on the same data, so that what slows the machine slows both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from common.figures import report
from common.prepared import seconds

ROUNDS = 5
GOAL = 1.5


def versus_duckdb(
    stage: str, ours: Callable[[], object], duckdb: Callable[[], object], **detail: Any
) -> float:
    """Report the median of the ratios; return the median of our seconds."""
    timed = [(seconds(ours), seconds(duckdb)) for _ in range(ROUNDS)]
    mine, theirs = zip(*timed, strict=True)
    report(
        f"{stage}_vs_duckdb",
        statistics.median(a / b for a, b in timed),
        "ratio",
        GOAL,
        "lower",
        **detail,
        ours_seconds=[round(s, 2) for s in mine],
        duckdb_seconds=[round(s, 2) for s in theirs],
    )
    return statistics.median(mine)
