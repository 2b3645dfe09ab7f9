"""A discrete-event simulation: actions run in the order of the emulated times they are due.

The event queue is a binary heap. An action gets the time it was due, not the time it ran, and
computes with that. So a clock that is advanced by a day at once goes through the same states at the
same times as a running clock. https://en.wikipedia.org/wiki/Discrete-event_simulation

Events of one lane (a job) run in order: while another thread still computes for an event of a lane,
later events of that lane wait, and events of other lanes go on.
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
        self._sequence = itertools.count()
        self._running = 0
        self._holds: Counter[str] = Counter()
        self._waiting: dict[str, list[_Event]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Events that have not happened yet are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def schedule(self, due: float, lane: str, action: Action) -> None:
        """Run `action(due)` when the clock reaches `due`, or at once if `due` is past.

        Actions that are due at the same time run in the order they were scheduled.
        """
        with self._changed:
            heapq.heappush(self._events, _Event(due, next(self._sequence), lane, action))
            self._changed.notify_all()

    def hold(self, lane: str) -> None:
        """Let a lane and `advance` wait for work on another thread, until `release`."""
        with self._changed:
            self._holds[lane] += 1

    def release(self, lane: str) -> None:
        """End one `hold` of a lane. Schedule the events that follow from the work before this."""
        with self._changed:
            self._holds[lane] -= 1
            if not self._holds[lane]:
                del self._holds[lane]
                for event in self._waiting.pop(lane, []):
                    heapq.heappush(self._events, event)
            self._changed.notify_all()

    def advance(self, seconds: float, timeout: float) -> bool:
        """Advance the clock, then wait until all events due by then have happened.

        Returns False if they have not after `timeout` real seconds; they go on then.
        """
        target = self.clock.advance(seconds)
        with self._changed:
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled(target), timeout)

    def _settled(self, target: float) -> bool:
        nothing_due = not self._events or self._events[0].due > target
        return self._closed or (nothing_due and self._running == 0 and not self._holds)

    def _run(self) -> None:
        while True:
            event = self._next()
            if event is None:
                return
            try:
                event.action(event.due)
            except Exception:
                # An action that fails must not stop the time of all other jobs. Actions turn the
                # errors they expect into states. Any other error is a defect: log its traceback.
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
                    if self._holds[event.lane]:
                        self._waiting.setdefault(event.lane, []).append(event)
                        continue
                    self._running += 1
                    return event
                self._changed.wait(wait)
            return None
