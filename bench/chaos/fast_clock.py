"""Let the clock of a process run fast, and apart from those of other processes.

Everything that the product reads of time goes through `time.time`, `time.sleep` and waits for
events, so these three are replaced: backoffs, heartbeats and leases keep their proportions.
"""

from __future__ import annotations

import threading
import time

_REAL_TIME, _REAL_SLEEP = time.time, time.sleep
_REAL_WAIT = threading.Event.wait


def run_fast(origin: float, speed: float, offset: float) -> None:
    """Replace this process's clock.

    origin: the real time at which all fast clocks were equal to the real one
    speed: seconds per real second; offset: by how many seconds this clock is wrong
    """

    def fast_time() -> float:
        return origin + (_REAL_TIME() - origin) * speed + offset

    def fast_sleep(seconds: float) -> None:
        _REAL_SLEEP(seconds / speed)

    def fast_wait(event: threading.Event, timeout: float | None = None) -> bool:
        return _REAL_WAIT(event, None if timeout is None else timeout / speed)

    time.time, time.sleep = fast_time, fast_sleep
    threading.Event.wait = fast_wait  # type: ignore[method-assign]
