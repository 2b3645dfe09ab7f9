"""Compare two programs on the same data, in turns, so that a slower machine slows both."""

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
    """Report the median ratio of our seconds to DuckDB's; return the median of our seconds."""
    rounds = [(seconds(ours), seconds(duckdb)) for _ in range(ROUNDS)]
    our_seconds, duckdb_seconds = zip(*rounds, strict=True)
    report(
        f"{stage}_vs_duckdb",
        statistics.median(a / b for a, b in rounds),
        "ratio",
        GOAL,
        "lower",
        **detail,
        ours_seconds=[round(s, 2) for s in our_seconds],
        duckdb_seconds=[round(s, 2) for s in duckdb_seconds],
    )
    return statistics.median(our_seconds)
