"""Ends waiting work if the client of a request goes away.

The thread that answers a request may wait for another server. Nobody reads from the client then, so
the HTTP server tells that it has gone, from a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Hangup:
    """What must end if the client of one request goes. Safe to use from many threads.

    watch: begins to watch the client; called when there is something to end
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._is_gone = False
        self._end: Callable[[], None] | None = None

    @contextmanager
    def ends(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` if the client goes before the block ends, or went before it began."""
        with self._lock:
            self._end = end
            is_gone = self._is_gone
        if is_gone:
            end()
        else:
            self._watch()
        try:
            yield
        finally:
            with self._lock:
                self._end = None

    def happened(self) -> None:
        """Note that the client has gone."""
        with self._lock:
            self._is_gone = True
            if self._end is not None:
                self._end()


_CURRENT: ContextVar[Hangup | None] = ContextVar("hangup", default=None)


@contextmanager
def current(hangup: Hangup) -> Iterator[None]:
    """Make this the hangup of the request that the thread answers."""
    token = _CURRENT.set(hangup)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def ended_by_hangup(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` if the client of the request that this thread answers goes during the block."""
    hangup = _CURRENT.get()
    if hangup is None:  # a record of a batch job
        yield
        return
    with hangup.ends(end):
        yield
