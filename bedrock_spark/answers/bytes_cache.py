"""A cache of values that were used last, bounded by their bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class BytesCache(Generic[_K, _V]):
    """Values that were used last, of about `most_bytes` bytes. The newest one always stays."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: _K) -> _V | None:
        """Return a value, if it is there."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def add(self, key: _K, value: _V, nbytes: int) -> None:
        """Add a value that is not there; forget those that were not used for the longest time."""
        self._values[key] = value, nbytes
        self._bytes += nbytes
        while self._bytes > self._most_bytes and len(self._values) > 1:
            _, (_, oldest) = self._values.popitem(last=False)
            self._bytes -= oldest

    def forget(self, is_over: Callable[[_K], bool]) -> None:
        """Forget the values whose keys are over: nobody will ask for them again."""
        for key in [key for key in self._values if is_over(key)]:
            _, nbytes = self._values.pop(key)
            self._bytes -= nbytes
