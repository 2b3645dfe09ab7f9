"""A stand-in for a Spark session: collect and the fallback run their tasks in threads.

It has the one action that these stages use: `spark.range(…).mapInArrow(…).collect()`. As Spark may
do, it runs some tasks twice at the same time: speculation, or an executor that was lost and lives
on. The first result counts, and the second attempt runs to its end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

TASKS_AT_ONCE = 2

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class StandIn:
    """The session.

    twice: the share of tasks that run twice at the same time; chance: draws them
    """

    def __init__(self, chance: random.Random, twice: float = 0.0) -> None:
        self._chance = chance
        self._twice = twice

    def range(self, start: int, end: int, step: int, partitions: int) -> _Rows:
        """Return rows with the numbers from `start` to `end`: one partition for each."""
        assert (start, step, partitions) == (0, 1, end)
        return self._rows("id", list(range(end)))

    def createDataFrame(self, rows: list[tuple[int, bytes]], schema: str) -> _Rows:  # noqa: N802
        """Return numbered rows with the units of a task each: one partition for each."""
        assert schema == "task int, units binary"
        return self._rows("units", [units for _, units in rows])

    def _rows(self, column: str, values: list[Any]) -> _Rows:
        return _Rows(column, values, [self._chance.random() < self._twice for _ in values])

    # Spark Connect's way to cancel what a thread runs. The tasks here end by themselves.
    def addTag(self, tag: str) -> None:  # noqa: N802
        """Accept a tag."""

    def removeTag(self, tag: str) -> None:  # noqa: N802
        """Accept the end of a tag."""

    def clearTags(self) -> None:  # noqa: N802
        """Accept the end of all tags."""

    def interruptTag(self, tag: str) -> list[str]:  # noqa: N802
        """Interrupt nothing."""
        return []


@dataclass(frozen=True)
class _Rows:
    """Partitions with one value each, of one column; whether each runs twice."""

    column: str
    values: list[Any]
    twice: list[bool]
    task: Task | None = None

    def mapInArrow(self, task: Task, schema: str) -> _Rows:  # noqa: N802
        """Return the rows that a task makes of each partition."""
        return _Rows(self.column, self.values, self.twice, task)

    def repartitionByRange(self, partitions: int, column: str) -> _Rows:  # noqa: N802
        """Return the rows, which have a partition each."""
        assert partitions == len(self.values)
        return self

    def select(self, column: str) -> _Rows:
        """Return the one column that there is."""
        assert column == self.column
        return self

    def collect(self) -> list[Any]:
        """Run all tasks; return their rows."""
        with ThreadPoolExecutor(TASKS_AT_ONCE) as pool, ThreadPoolExecutor() as seconds:
            done = list(pool.map(lambda number: self._run(number, seconds), range(len(self.twice))))
        return [row for rows in done for row in rows]

    def _run(self, number: int, seconds: ThreadPoolExecutor) -> list[Any]:
        if not self.twice[number]:
            return self._attempt(number)
        attempts: set[Future[list[Any]]] = {seconds.submit(self._attempt, number) for _ in "12"}
        errors = []
        while attempts:
            done, attempts = wait(attempts, return_when=FIRST_COMPLETED)
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                errors.append(error)
        raise errors[0]

    def _attempt(self, number: int) -> list[Any]:
        assert self.task is not None
        partition = iter([pa.RecordBatch.from_pydict({self.column: [self.values[number]]})])
        rows = [batch.to_pylist() for batch in self.task(partition)]
        return [tuple(row.values()) for piece in rows for row in piece]
