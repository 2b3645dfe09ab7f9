"""Deal the unanswered records to tasks: equal loads, and few parts.

The number of tasks follows from the records and the limits, not from the cores that are alive: with
dynamic allocation that are few after hours of waiting, and Spark asks for more if tasks wait. Over
Spark Connect their number is unknown.

A part is some places of a shard's list of unanswered records, and the digest of that list. Collect
writes a new list if it runs meanwhile; then the digest is another, and the part is not asked.

All records stand in one row, shard after shard, and the row is cut into pieces of equal length, one
for each task. So a task has whole shards, except its first and its last one, and the parts of all
tasks are at most as many as the shards and the tasks together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from bedrock_spark.config import FallbackConfig

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


@dataclass(frozen=True, slots=True)
class TaskParts(Sequence[Part]):
    """The parts of one task, kept as columns: a part is made when it is read.

    shard_ids, digests, files: of each part, see `Part`; files only of shards that have several
    start: of the first part; the others start at 0
    stops: of each part
    """

    shard_ids: tuple[str, ...]
    start: int
    stops: tuple[int, ...]
    digests: tuple[str, ...]
    files: Mapping[str, tuple[int, ...]]

    @property
    def records(self) -> int:
        """Return the number of records of all parts."""
        return sum(self.stops) - self.start

    def __len__(self) -> int:
        return len(self.shard_ids)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> list[Part]: ...
    def __getitem__(self, index: int | slice) -> Part | list[Part]:
        if isinstance(index, slice):
            return [self._part(place) for place in range(len(self))[index]]
        return self._part(range(len(self))[index])

    def _part(self, place: int) -> Part:
        shard_id, start = self.shard_ids[place], 0 if place else self.start
        files = self.files.get(shard_id, ())
        return Part(shard_id, start, self.stops[place], self.digests[place], files)


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


def split_into_parts(
    counts: Mapping[str, int],
    tasks: int,
    most: int | None = None,
    digests: Mapping[str, str] | None = None,
    files: Mapping[str, tuple[int, ...]] | None = None,
) -> list[TaskParts]:
    """Return the parts of each task: at most `tasks`, each with at least a record.

    counts: the number of unanswered records, by shard
    most: the number of records in total, if not all may be asked
    digests: of the lists of unanswered records, by shard
    files: the bytes of their files, by shard, of shards that have several
    """
    digests, files = digests or {}, files or {}
    shards = sorted(shard for shard, count in counts.items() if count)
    sizes = np.fromiter(map(counts.__getitem__, shards), np.int64, len(shards))
    ends = np.cumsum(sizes)  # in the row of all records
    begins = ends - sizes
    total = int(sizes.sum()) if most is None else min(int(sizes.sum()), most)
    tasks = min(tasks, total)
    cuts = total * np.arange(tasks + 1) // max(1, tasks)
    firsts = np.searchsorted(ends, cuts[:-1], side="right")
    lasts = np.searchsorted(ends, cuts[1:], side="left")
    starts, last_stops = cuts[:-1] - begins[firsts], cuts[1:] - begins[lasts]
    dealt = []
    for task in range(tasks):
        first, last = int(firsts[task]), int(lasts[task])
        own = tuple(shards[first : last + 1])
        dealt.append(
            TaskParts(
                own,
                int(starts[task]),
                (*sizes[first:last].tolist(), int(last_stops[task])),
                tuple(digests.get(shard, "") for shard in own),
                {shard: files[shard] for shard in own if shard in files},
            )
        )
    return dealt


def name_of(parts: Sequence[Part]) -> str:
    """Return the name of a task: a digest of its records."""
    lines = (f"{p.shard_id} {p.start} {p.stop} {p.digest}" for p in parts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_NAME_LENGTH]
