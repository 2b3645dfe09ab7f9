"""Calls that wait until they are released: the fault script's `holds`.

They let a test stop time where it wants to: it waits until a call is held, kills or stops what it
likes, and sets a script without the rule.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from bedrock_emulator.faults import Hold


class Holds:
    """The rules in force, and the calls that wait because of them."""

    def __init__(self, rules: Sequence[Hold]) -> None:
        self._changed = threading.Condition()
        self._rules = tuple(rules)
        self._fitting: Counter[Hold] = Counter()
        self._waiting: Counter[str] = Counter()

    def replace(self, rules: Sequence[Hold]) -> None:
        """Put other rules in force. Calls that none of them holds go on."""
        with self._changed:
            self._rules = tuple(rules)
            self._fitting.clear()
            self._changed.notify_all()

    def wait(self, operation: str, path: str, body: bytes) -> None:
        """Wait while a rule holds this call.

        path: of the request, decoded; body: of the request, empty for S3
        """
        if not self._rules:
            return
        with self._changed:
            rule = next((r for r in self._rules if r.fits(operation, path, body)), None)
            if rule is None:
                return
            self._fitting[rule] += 1
            if self._fitting[rule] <= rule.after:
                return
            self._waiting[operation] += 1
            try:
                self._changed.wait_for(lambda: rule not in self._rules)
            finally:
                self._waiting[operation] -= 1

    def counts(self) -> dict[str, int]:
        """Return how many calls wait now, by operation."""
        with self._changed:
            return dict(+self._waiting)
