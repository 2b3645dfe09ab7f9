"""Say from how many cores and rows on a stage on Spark is faster than a program on one machine.

Two measurements, of few and of many rows, give a program's seconds as `start + rows * per_row`. On
a cluster with m times the cores, ours are taken to be `start + rows * per_row / m`: the tasks of a
stage share nothing. The start of Spark itself is not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """The seconds of a program: `start + rows * per_row`."""

    start: float
    per_row: float

    @classmethod
    def through(cls, rows: tuple[int, int], seconds: tuple[float, float]) -> Line:
        """Return the line through two measurements."""
        per_row = (seconds[1] - seconds[0]) / (rows[1] - rows[0])
        return cls(seconds[0] - rows[0] * per_row, per_row)


def rows_to_win(ours: Line, peer: Line, times: float) -> int | None:
    """Return from how many rows on ours is faster with `times` the cores; None if it never is."""
    gained = peer.per_row - ours.per_row / times
    if gained <= 0:
        return None
    return max(0, math.ceil((ours.start - peer.start) / gained))
