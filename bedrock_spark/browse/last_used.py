"""The values of the keys that were used last, with a lock for each key.

A process that shows pages keeps what is slow to make: an opened run, a comparison, a list of
models. Who asks for a key that is being made waits for it, and it is made once. Who asks for any
other key waits for nobody.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _always(_: object) -> bool:
    return True


def do_soon(work: Callable[[], object], seconds: float, name: str) -> None:
    """Do a piece of work in a thread, and wait for it at most this long; then it goes on.

    name: of the thread. Raises what the work raises while it is waited for.
    """
    errors: list[Exception] = []

    def do() -> None:
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - who asked raises it, if he still waits
            errors.append(exc)

    thread = threading.Thread(target=do, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]


class _Entry(Generic[V]):
    """The value of one key. users: how many threads make it, or wait for that."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.value: V | None = None


class LastUsed(Generic[K, V]):
    """Values by key; None is no value. Safe to use from many threads.

    most: how many are kept. Beyond it, the one that was used longest ago is forgotten, but none
        that is being made
    may_go: whether a value may be forgotten; else more than `most` are kept
    """

    def __init__(self, most: int, may_go: Callable[[V], bool] = _always) -> None:
        self._most = most
        self._may_go = may_go
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value of a key as it is; None if there is none. Waits for nobody."""
        with self._lock:
            entry = self._entries.get(key)
            return None if entry is None else entry.value

    def values(self) -> list[V]:
        """Return all values, the one that was used longest ago first."""
        with self._lock:
            return [e.value for e in self._entries.values() if e.value is not None]

    def make(self, key: K, made: Callable[[V | None], V], *, waits: bool = True) -> V:
        """Return the value that `made` returns, which replaces the one of before.

        made: gets the value of before, None if there is none, and may return it. It is called by
            one thread at a time for each key. If it raises, the value of before stays
        waits: whether to wait for another thread that makes the value of this key. If not, and
            there is a value, that is returned
        """
        with self._used(key) as entry:
            if not entry.lock.acquire(blocking=waits or entry.value is None):
                known = entry.value
                assert known is not None
                return known
            try:
                entry.value = made(entry.value)
                return entry.value
            finally:
                entry.lock.release()

    def change(self, key: K, changed: Callable[[V], V]) -> None:
        """Replace the value of a key, if there is one. Waits for a thread that makes it."""
        with self._used(key) as entry, entry.lock:
            if entry.value is not None:
                entry.value = changed(entry.value)

    @contextmanager
    def _used(self, key: K) -> Iterator[_Entry[V]]:
        """Give the entry of a key, which is not forgotten until the block ends."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
            self._entries.move_to_end(key)
        try:
            yield entry
        finally:
            with self._lock:
                entry.users -= 1
                self._forget()

    def _forget(self) -> None:
        """Forget keys without a value, and then those that were used longest ago."""
        idle = [(key, e.value) for key, e in self._entries.items() if not e.users]
        for key, value in idle:
            is_too_much = len(self._entries) > self._most
            if value is None or (is_too_much and self._may_go(value)):
                del self._entries[key]
