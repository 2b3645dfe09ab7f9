"""The answers that this process was given, so that the same request is not paid for twice."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bedrock_spark.answers.digest import asking_of
from bedrock_spark.invoke.kept_calls import KeptCall
from bedrock_spark.preview.ask_rows import Keeper
from bedrock_spark.preview.sides import Side

# What KeptCall calls the run that paid for such an answer.
THIS_SESSION = "this session"
_MOST_BYTES = 256_000_000


def request_id(side: Side, body: bytes) -> bytes:
    """Return what tells a request from others: its model, how it is asked, and its body."""
    context = asking_of(side.config).context(side.model_id)
    return hashlib.sha256(context + body).digest()


@dataclass
class AnswerMemory:
    """The last answers, whatever their outcome. Safe to use from many threads.

    most: the bytes of answers that are kept; beyond, the oldest are forgotten
    """

    most: int = _MOST_BYTES
    _answers: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, side: Side, bodies: Iterable[bytes]) -> dict[bytes, KeptCall]:
        """Return the answers that are known for some bodies."""
        with self._lock:
            pairs = ((body, self._answers.get(request_id(side, body))) for body in bodies)
            return {b: KeptCall(output, THIS_SESSION) for b, output in pairs if output is not None}

    def add(self, key: bytes, output: bytes) -> None:
        """Keep an answer in the place of an earlier one of the same request."""
        with self._lock:
            before = self._answers.pop(key, b"")
            self._answers[key] = output
            self._bytes += len(output) - len(before)
            while self._bytes > self.most and self._answers:
                _, oldest = self._answers.popitem(last=False)
                self._bytes -= len(oldest)

    def with_keeper(self, side: Side, keeper: Keeper) -> Keeper:
        """Return a keeper that hands every answer on to another one, and remembers it."""
        return _Remembering(self, side, keeper)


@dataclass(frozen=True)
class _Remembering:
    memory: AnswerMemory
    side: Side
    keeper: Keeper

    def add(self, body: bytes, output: bytes, at: float, record_id: str | None = None) -> None:
        self.memory.add(request_id(self.side, body), output)
        self.keeper.add(body, output, at, record_id)

    def write(self, now: float) -> int:
        return self.keeper.write(now)
