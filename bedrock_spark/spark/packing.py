"""Pack units of work into Spark tasks of about the same size.

A unit costs its bytes, and a constant for what it costs to begin and to end one. A task does many
small units one after another, because a Spark task costs the driver more than a small unit costs
the task. The number of tasks follows from the units, not from the cores that are alive: with
dynamic allocation that are few after hours of waiting, and Spark asks for more if tasks wait. Over
Spark Connect their number is unknown.

The units are placed greedily, the largest first, each in the task with the least to do: longest
processing time first (https://en.wikipedia.org/wiki/Longest-processing-time-first_scheduling).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

# To begin and to end a shard, collect makes a few calls to S3 and opens two files: as long as it
# takes to read this many bytes of answers.
UNIT_BYTES = 4_000_000
# A task of this size takes a core some seconds.
TASK_BYTES = 256_000_000
# The fewest tasks, unless there are fewer units: enough to keep some cores about equally busy.
LEAST_TASKS = 64


def pack(sizes: Sequence[int]) -> list[list[int]]:
    """Return the units of each task, by their positions, the largest tasks first.

    sizes: the bytes of each unit
    """
    costs = [UNIT_BYTES + max(0, size) for size in sizes]
    needed = -(-sum(costs) // TASK_BYTES)
    tasks = min(len(costs), max(needed, LEAST_TASKS))
    packed: list[list[int]] = [[] for _ in range(tasks)]
    loads = [(0, task) for task in range(tasks)]  # a heap: the least load first
    for unit in sorted(range(len(costs)), key=lambda unit: -costs[unit]):
        load, task = heapq.heappop(loads)
        packed[task].append(unit)
        heapq.heappush(loads, (load + costs[unit], task))
    order = sorted(loads, key=lambda one: (-one[0], one[1]))
    return [packed[task] for _, task in order]
