"""What single calls to a model have used: records, tokens, and tokens of the quota.

It is counted while calls are made, for the progress. Collect counts all answers again, by their
lines; that is what a run has paid for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families.base import Answer


class CallUse(msgspec.Struct, frozen=True):
    """What calls have used.

    asked: records; answers that do not tell their tokens are in no other number
    quota: tokens as the quota counts them
    tokens: of all answers; flex: the part of them that the flex tier gave
    """

    asked: int = 0
    quota: int = 0
    tokens: Tokens = Tokens()
    flex: Tokens = Tokens()

    def __add__(self, other: CallUse) -> CallUse:
        """Return the sum of each number."""
        return CallUse(
            self.asked + other.asked,
            self.quota + other.quota,
            self.tokens + other.tokens,
            self.flex + other.flex,
        )


def total_use(uses: Iterable[CallUse]) -> CallUse:
    """Return the sum of all."""
    return sum(uses, CallUse())


@dataclass
class UseCounter:
    """Counts what answered calls use. Safe to use from many threads."""

    _use: CallUse = field(default_factory=CallUse)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: Answer, quota: int, *, is_flex: bool) -> None:
        """Count an answered call. quota: the tokens of the quota that it took."""
        tokens = Tokens(
            answer.input_tokens or 0,
            answer.output_tokens or 0,
            len(answer.images),
            answer.cache_read_tokens or 0,
            answer.cache_write_tokens or 0,
        )
        flex = tokens if is_flex else Tokens()
        with self._lock:
            self._use += CallUse(0, quota, tokens, flex)

    def use(self, asked: int) -> CallUse:
        """Return what was used so far. asked: the number of records."""
        with self._lock:
            return self._use + CallUse(asked)
