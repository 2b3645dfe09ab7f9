"""What happens when: actions run in the order of the emulated time they are due at.

An action gets the time it was due, not the time it ran, and computes with that. So a clock that is
advanced by a day at once goes through the same states at the same times as one that runs.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bedrock_spark.emulator.clock import Clock

log = logging.getLogger(__name__)

Action = Callable[[float], None]


@dataclass(order=True)
class _Event:
    due: float
    number: int
    action: Action = field(compare=False)


class Timeline:
    """One thread that runs scheduled actions when the emulated clock reaches them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._changed = threading.Condition()
        self._events: list[_Event] = []
        self._numbers = itertools.count()
        self._running = 0
        self._held = 0
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

    def schedule(self, due: float, action: Action) -> None:
        """Run `action(due)` once the clock has reached `due`; at once if it is past."""
        with self._changed:
            heapq.heappush(self._events, _Event(due, next(self._numbers), action))
            self._changed.notify_all()

    def hold(self) -> None:
        """Say that something due is still being computed elsewhere: `settle` waits for it."""
        with self._changed:
            self._held += 1

    def release(self) -> None:
        """End a `hold`; schedule what follows from it before calling this."""
        with self._changed:
            self._held -= 1
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
        return self._closed or (nothing_due and self._running == 0 and self._held == 0)

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
                    self._running += 1
                    return heapq.heappop(self._events)
                self._changed.wait(wait)
            return None
