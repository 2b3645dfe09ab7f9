"""Split the unanswered records among tasks, into equal loads and few parts.

The parts are placed greedily, the largest first, each on the task with the least load: longest
processing time first (https://en.wikipedia.org/wiki/Longest-processing-time-first_scheduling).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Some unanswered records of a shard: positions `start` up to `stop` of their list."""

    shard_id: str
    start: int
    stop: int

    @property
    def records(self) -> int:
        """Return the number of records."""
        return self.stop - self.start


def split_into_parts(
    counts: Mapping[str, int], tasks: int, most: int | None = None
) -> list[tuple[Part, ...]]:
    """Return the parts of each task.

    counts: the number of unanswered records, by shard
    most: the number of records in total, if not all may be asked
    """
    allowed = _limited(counts, most)
    total = sum(allowed.values())
    if not total:
        return []
    size = math.ceil(total / tasks)
    parts = [
        Part(shard, start, min(start + size, count))
        for shard, count in allowed.items()
        for start in range(0, count, size)
    ]
    by_task: list[list[Part]] = [[] for _ in range(min(tasks, len(parts)))]
    for part in sorted(parts, key=lambda part: (-part.records, part.shard_id, part.start)):
        min(by_task, key=lambda own: sum(other.records for other in own)).append(part)
    return [tuple(sorted(own, key=lambda part: (part.shard_id, part.start))) for own in by_task]


def _limited(counts: Mapping[str, int], most: int | None) -> dict[str, int]:
    """Return the counts in order of the shards, cut so that their sum is at most `most`."""
    left = sum(counts.values()) if most is None else most
    limited = {}
    for shard, count in sorted(counts.items()):
        allowed = min(count, left)
        left -= allowed
        if allowed:
            limited[shard] = allowed
    return limited
