"""What happens when: actions run in the order of the emulated time they are due at.

An action gets the time it was due, not the time it ran, and computes with that. So a clock that is
advanced by a day at once goes through the same states at the same times as one that runs.

Events of one lane (a job) never overtake each other: while something of a lane is still being
computed elsewhere, its later events wait, and those of other lanes go on.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bedrock_emulator.state.clock import Clock

log = logging.getLogger(__name__)

Action = Callable[[float], None]


@dataclass(order=True)
class _Event:
    due: float
    number: int
    lane: str = field(compare=False)
    action: Action = field(compare=False)


class Timeline:
    """One thread that runs scheduled actions when the emulated clock reaches them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._changed = threading.Condition()
        self._events: list[_Event] = []
        self._numbers = itertools.count()
        self._running = 0
        self._held: Counter[str] = Counter()
        self._parked: dict[str, list[_Event]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; what has not happened yet does not happen."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def schedule(self, due: float, lane: str, action: Action) -> None:
        """Run `action(due)` once the clock has reached `due`; at once if it is past."""
        with self._changed:
            heapq.heappush(self._events, _Event(due, next(self._numbers), lane, action))
            self._changed.notify_all()

    def hold(self, lane: str) -> None:
        """Say that something due is still being computed: its lane and `advance` wait for it."""
        with self._changed:
            self._held[lane] += 1

    def release(self, lane: str) -> None:
        """End a `hold`; schedule what follows from it before calling this."""
        with self._changed:
            self._held[lane] -= 1
            if not self._held[lane]:
                del self._held[lane]
                for event in self._parked.pop(lane, []):
                    heapq.heappush(self._events, event)
            self._changed.notify_all()

    def advance(self, seconds: float, timeout: float) -> bool:
        """Advance the clock, then wait until all that was due by then has happened.

        Returns False if that took longer than `timeout` real seconds (it still goes on).
        """
        target = self.clock.advance(seconds)
        with self._changed:
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled(target), timeout)

    def _settled(self, target: float) -> bool:
        nothing_due = not self._events or self._events[0].due > target
        return self._closed or (nothing_due and self._running == 0 and not self._held)

    def _run(self) -> None:
        while True:
            event = self._next()
            if event is None:
                return
            try:
                event.action(event.due)
            except Exception:
                # An action that fails must not stop time for every other job. Actions turn what
                # they expect into states; anything else is a defect, shown with its traceback.
                log.exception("an action of the timeline failed")
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _next(self) -> _Event | None:
        with self._changed:
            while not self._closed:
                if not self._events:
                    self._changed.wait()
                    continue
                wait = self.clock.wall_seconds_until(self._events[0].due)
                if wait == 0.0:
                    event = heapq.heappop(self._events)
                    if self._held[event.lane]:
                        self._parked.setdefault(event.lane, []).append(event)
                        continue
                    self._running += 1
                    return event
                self._changed.wait(wait)
            return None
