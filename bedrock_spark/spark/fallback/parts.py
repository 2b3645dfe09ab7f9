"""Split the unanswered records among tasks, into equal loads and few parts.

The number of tasks follows from the records and the limits, not from the cores that are alive: with
dynamic allocation that are few after hours of waiting, and Spark asks for more if tasks wait. Over
Spark Connect their number is unknown.

A part is some places of a shard's list of unanswered records, and the digest of that list. Collect
writes a new list if it runs meanwhile; then the digest is another, and the part is not asked.

The parts are placed greedily, the largest first, each on the task with the least load: longest
processing time first (https://en.wikipedia.org/wiki/Longest-processing-time-first_scheduling).
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bedrock_spark.config import FallbackConfig
from bedrock_spark.garbage import garbage_collection_paused

_NAME_LENGTH = 32
# A task makes `fallback.concurrency` calls at a time. If each of these callers has fewer records,
# or the task has, its start takes longer than its work: it waits until the other tasks have seen
# it, and learns the limit of the model.
_LEAST_PER_CALLER, _LEAST_PER_TASK = 8, 100
# If a call takes six seconds, 40,000 calls a minute; the limit of the model is found by each task.
_MOST_CALLERS = 4_096
# Each look at the other tasks lists them all.
_MOST_TASKS = 512
# The fewest tokens that a call takes, as a rule.
_TOKENS_PER_CALL = 100


@dataclass(frozen=True, slots=True)
class Part:
    """Some unanswered records of a shard: positions `start` up to `stop` of their list.

    digest: of the whole list
    files: the bytes of the files of the shard, if it has several
    """

    shard_id: str
    start: int
    stop: int
    digest: str = ""
    files: tuple[int, ...] = ()

    @property
    def records(self) -> int:
        """Return the number of records."""
        return self.stop - self.start


def number_of_tasks(records: int, config: FallbackConfig) -> int:
    """Return how many tasks ask `records` records.

    A limit of N calls a minute keeps at most N callers busy if a call takes up to a minute. More
    tasks would only share it.
    """
    callers = [_MOST_CALLERS, records // _LEAST_PER_CALLER]
    if config.requests_per_minute is not None:
        callers.append(config.requests_per_minute)
    if config.tokens_per_minute is not None:
        callers.append(config.tokens_per_minute // _TOKENS_PER_CALL)
    tasks = min(min(callers) // config.concurrency, records // _LEAST_PER_TASK, _MOST_TASKS)
    return max(1, tasks)


@garbage_collection_paused()
def split_into_parts(
    counts: Mapping[str, int],
    tasks: int,
    most: int | None = None,
    digests: Mapping[str, str] | None = None,
    files: Mapping[str, tuple[int, ...]] | None = None,
) -> list[tuple[Part, ...]]:
    """Return the parts of each task.

    counts: the number of unanswered records, by shard
    most: the number of records in total, if not all may be asked
    digests: of the lists of unanswered records, by shard
    files: the bytes of their files, by shard, of shards that have several
    """
    digests, files = digests or {}, files or {}
    allowed = _limited(counts, most)
    total = sum(allowed.values())
    if not total:
        return []
    size = math.ceil(total / tasks)
    parts = [
        Part(
            *(shard, start, min(start + size, count)), digests.get(shard, ""), files.get(shard, ())
        )
        for shard, count in allowed.items()
        for start in range(0, count, size)
    ]
    # By their places in this list, which are in the order of shards: numbers are sorted faster.
    records = [part.records for part in parts]
    by_task: list[list[int]] = [[] for _ in range(min(tasks, len(parts)))]
    loads = [(0, task) for task in range(len(by_task))]  # a heap: the least load first
    for place in sorted(range(len(parts)), key=records.__getitem__, reverse=True):
        load, task = loads[0]
        by_task[task].append(place)
        heapq.heapreplace(loads, (load + records[place], task))
    return [tuple(parts[place] for place in sorted(own)) for own in by_task]


def name_of(parts: Sequence[Part]) -> str:
    """Return the name of a task: a digest of its records."""
    lines = (f"{p.shard_id} {p.start} {p.stop} {p.digest}" for p in parts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_NAME_LENGTH]


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
