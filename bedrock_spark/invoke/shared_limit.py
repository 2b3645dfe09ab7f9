"""Who is at work on a fallback: its tasks share the run's limits equally, as many as there are.

Each task keeps an object of its own in the run folder and rewrites it every few seconds; who sees
an object change counts its task. So the share of a task that ended, or died, goes to the others,
whatever machine they are on, and no clock is compared with another's.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from bedrock_spark.clock import Clock
from bedrock_spark.errors import StorageError
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.heartbeat import run_periodically
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# Looks are further apart where there are many tasks: each of them lists all.
LOOK_SECONDS = 2.0
TASKS_PER_LOOK_SECOND = 10
# A task whose object did not change for so many looks is gone.
LOOKS_UNTIL_GONE = 4
# For so many looks all tasks of a round are expected, though some may not have begun yet.
LOOKS_AT_BEGINNING = 5


class TaskRegistry:
    """One task's view of the tasks that are at work in a round of the fallback.

    looks: how often it looked
    """

    def __init__(self, storage: Storage, round_id: str, clock: Clock) -> None:
        self._storage = storage
        self._prefix = layout.tasks_prefix(round_id)
        self._key = f"{self._prefix}{uuid.uuid4().hex}"
        self._clock = clock
        self.looks = 0
        self._tasks = 1
        self._seen: dict[str, tuple[str, float]] = {}

    def look(self) -> int:
        """Say that this task is at work; return how many are."""
        self.looks += 1
        self._storage.write(self._key, str(self.looks).encode())
        now = self._clock.now()
        before, self._seen = self._seen, {}
        for found in self._storage.list(self._prefix):
            version, since = before.get(found.key, ("", now))
            self._seen[found.key] = found.version, since if version == found.version else now
        patience = LOOKS_UNTIL_GONE * self.pause
        gone = [k for k, (_, at) in self._seen.items() if now - at >= patience and k != self._key]
        self._tasks = max(1, len(self._seen) - len(gone))
        return self._tasks

    def leave(self) -> None:
        """Say that this task is done. Where that fails, the others find out a little later."""
        try:
            self._storage.delete([self._key])
        except StorageError as exc:
            log.warning("a task of the fallback is done: %s", exc)

    @property
    def pause(self) -> float:
        """Return the seconds between two looks."""
        return max(LOOK_SECONDS, self._tasks / TASKS_PER_LOOK_SECOND)


@contextmanager
def shared(
    limiter: RateLimiter, registry: TaskRegistry, clock: Clock, tasks: int = 1
) -> Iterator[None]:
    """Keep a limiter to its task's share of the limits, for as long as the task is at work.

    At first it counts on as many tasks as the round has. Where as many are at work already, it is
    one that came later, and its first call waits until the others know of it.

    tasks: that the round has, some of which may come when others have ended
    """
    found = registry.look()
    limiter.parts = max(found, tasks)

    def look() -> None:
        seen = registry.look()  # where it fails, the share stays as it was
        limiter.parts = seen if registry.looks > LOOKS_AT_BEGINNING else max(seen, tasks)

    try:
        with run_periodically("counting the tasks of the fallback", look, lambda: registry.pause):
            if found > 1 and found >= tasks and limiter.is_limited:
                clock.sleep(registry.pause)
            yield
    finally:
        registry.leave()
