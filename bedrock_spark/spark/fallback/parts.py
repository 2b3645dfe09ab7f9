"""Deal stragglers out to tasks: as equal as can be, and in as few parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Some stragglers of a shard: those from the place `start` of its list up to `stop`."""

    shard_id: str
    start: int
    stop: int

    @property
    def records(self) -> int:
        """Return how many they are."""
        return self.stop - self.start


def split_into_parts(
    counts: Mapping[str, int], tasks: int, most: int | None = None
) -> list[tuple[Part, ...]]:
    """Return the parts of each task, for so many stragglers of each shard.

    most: records in all, where not all may be asked
    """
    wanted = _within(counts, most)
    total = sum(wanted.values())
    if not total:
        return []
    size = math.ceil(total / tasks)
    parts = [
        Part(shard, start, min(start + size, count))
        for shard, count in wanted.items()
        for start in range(0, count, size)
    ]
    dealt: list[list[Part]] = [[] for _ in range(min(tasks, len(parts)))]
    for part in sorted(parts, key=lambda part: (-part.records, part.shard_id, part.start)):
        min(dealt, key=lambda own: sum(other.records for other in own)).append(part)
    return [tuple(sorted(own, key=lambda part: (part.shard_id, part.start))) for own in dealt]


def _within(counts: Mapping[str, int], most: int | None) -> dict[str, int]:
    left = sum(counts.values()) if most is None else most
    wanted = {}
    for shard, count in sorted(counts.items()):
        taken = min(count, left)
        left -= taken
        if taken:
            wanted[shard] = taken
    return wanted
