"""Share the run's rate limit equally among the fallback's tasks that are at work.

Membership by heartbeat (https://en.wikipedia.org/wiki/Heartbeat_(computing)): each task has an
object of its own in the run folder and rewrites it every few seconds. A task counts as at work
while the others see its object change. So when a task ends or dies, the others get its share, on
whatever machines they are. No clock is compared with the clock of another machine.

At the beginning of a round, nobody knows how many tasks run at once, so each expects all of them.
The first task that ends leaves a mark: the cores are taken by then, and a later task begins in the
place of one that has ended. It expects those at work only.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from bedrock_spark.clock import Clock
from bedrock_spark.costs.call_use import CallUse, total_use
from bedrock_spark.errors import StorageError
from bedrock_spark.heartbeat import run_periodically
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, calls_at_once

log = logging.getLogger(__name__)

_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(CallUse)

# Seconds between two looks. Every look lists the objects of all tasks, so with more than 20 tasks
# looks are rarer: tasks / 10 seconds apart.
LOOK_SECONDS = 2.0
TASKS_PER_LOOK_SECOND = 10
# A task is gone if its object did not change in the time of this many looks.
LOOKS_UNTIL_GONE = 4
# During its first looks a task counts on all tasks of the round, if none has ended: some may not
# have begun yet.
LOOKS_AT_BEGINNING = 5
# Seconds between two counts of the records that the tasks have asked.
COUNT_SECONDS = 5.0


class TaskRegistry:
    """One task's view of the tasks that are at work in a round of the fallback.

    used: returns what this task has used so far; a heartbeat tells the driver
    looks: the number of looks so far
    has_ended: whether a task of the round had ended at the last look
    """

    def __init__(
        self, storage: Storage, round_id: str, clock: Clock, used: Callable[[], CallUse] = CallUse
    ) -> None:
        self._storage = storage
        self._prefix = layout.tasks_prefix(round_id)
        self._key = f"{self._prefix}{uuid.uuid4().hex}"
        self._mark = layout.ended_task_key(round_id)
        self._clock = clock
        self._used = used
        self.looks = 0
        self.has_ended = False
        self._tasks = 1
        # Per key: its version, and since when this task has seen that version.
        self._seen: dict[str, tuple[str, float]] = {}

    def look(self) -> int:
        """Send a heartbeat; return the number of tasks at work, this one included."""
        self.looks += 1
        # The number of looks makes each heartbeat another version of the object.
        self._storage.write(self._key, f"{self.looks} ".encode() + _ENCODER.encode(self._used()))
        now = self._clock.now()
        before, self._seen = self._seen, {}
        for listed in self._storage.list(self._prefix):
            if listed.key == self._mark:
                self.has_ended = True
                continue
            version, since = before.get(listed.key, ("", now))
            self._seen[listed.key] = listed.version, since if version == listed.version else now
        timeout = LOOKS_UNTIL_GONE * self.pause
        gone = [k for k, (_, at) in self._seen.items() if now - at >= timeout and k != self._key]
        self._tasks = max(1, len(self._seen) - len(gone))
        return self._tasks

    def leave(self) -> None:
        """Mark that a task has ended, and delete its object.

        If that fails, the others notice a little later.
        """
        try:
            with calls_at_once(self._storage) as calls:
                left = [calls.begin(self._storage.delete, [self._key])]
                if not self.has_ended:
                    left.append(calls.begin(self._note_end))
            for each in left:
                each.result()
        except StorageError as exc:
            log.warning("a task of the fallback has ended, and its heartbeat stays: %s", exc)

    def _note_end(self) -> None:
        self._storage.write(self._mark, b"")

    @property
    def pause(self) -> float:
        """Return the seconds between two looks."""
        return max(LOOK_SECONDS, self._tasks / TASKS_PER_LOOK_SECOND)

    def next_pause(self) -> float:
        """Return the seconds until the next look: none before the first."""
        return self.pause if self.looks else 0.0


@dataclass
class RoundUse:
    """Adds up what the tasks of a round have used, by their heartbeats.

    A task that has ended has no heartbeat any more: its last count stands.
    """

    storage: Storage
    round_id: str
    _by_task: dict[str, CallUse] = field(default_factory=dict)

    def so_far(self) -> CallUse:
        """Return what was used so far. Reads one small object per task at work."""
        for listed in self.storage.list(layout.tasks_prefix(self.round_id)):
            _, _, used = (self.storage.read_if_present(listed.key) or b"").partition(b" ")
            try:
                self._by_task[listed.key] = _DECODER.decode(used)
            except msgspec.MsgspecError:
                continue  # the mark of tasks that have ended, or an object that is not ours
        return total_use(self._by_task.values())

    @property
    def pause(self) -> float:
        """Return the seconds between two counts: the more tasks, the rarer."""
        return max(COUNT_SECONDS, len(self._by_task) / TASKS_PER_LOOK_SECOND)


@contextmanager
def share_limit(
    limiter: RateLimiter,
    registry: TaskRegistry,
    clock: Clock,
    tasks: int = 1,
    *,
    is_alone: bool = False,
) -> Iterator[None]:
    """Keep a limiter to its task's share of the limits while the task is at work.

    At first the task counts on all tasks of the round. If as many are at work already, or one has
    ended, it is a late one: its first call waits one pause, until the others have seen it.

    tasks: the tasks of the round; some may begin only when others have ended
    is_alone: whether the round has this task only. Then it begins at once, and leaves nobody to
        notice its end; its heartbeats count its records for the driver, which deletes them
    """

    def look() -> int:
        at_work = registry.look()  # if this raises, the share stays as it is
        is_beginning = registry.looks <= LOOKS_AT_BEGINNING and not registry.has_ended
        limiter.shared_by = max(at_work, tasks) if is_beginning else at_work
        return at_work

    if is_alone:
        with run_periodically("counting the tasks of the fallback", look, registry.next_pause):
            yield
        return
    at_work = look()
    is_late = at_work > 1 and (at_work >= tasks or registry.has_ended)
    try:
        if is_late and limiter.is_limited:
            clock.sleep(registry.pause)
            look()  # another late one may have come meanwhile
        with run_periodically("counting the tasks of the fallback", look, lambda: registry.pause):
            yield
    finally:
        registry.leave()
