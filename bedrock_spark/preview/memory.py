"""The answers that this process was given, so that the same request is not paid for twice."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from bedrock_spark.answers.digest import asking_of
from bedrock_spark.errors import ConfigError
from bedrock_spark.invoke.kept_calls import KeptCall, accepting
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
class _Given:
    """An answer. is_saved: whether it is elsewhere, too, so that it may be forgotten here."""

    model_id: str
    body: bytes
    output: bytes
    is_saved: bool = False

    @property
    def size(self) -> int:
        return len(self.body) + len(self.output)


@dataclass(frozen=True)
class Held:
    """How many answers are in the memory, and how many of them, and of which bytes, only there."""

    answers: int
    unsaved: int
    unsaved_bytes: int


@dataclass
class AnswerMemory:
    """All answers, whatever their outcome. Safe to use from many threads.

    An answer was paid for, so it is forgotten only if it is saved elsewhere: in the store of
    answers of its config, or because somebody has taken all answers with `lines`.

    most: the bytes of requests and answers that are kept; beyond, the oldest saved ones are
        forgotten, and if too few are saved, `refuse_if_full` says so before more is asked
    """

    most: int = _MOST_BYTES
    # By their numbers: the oldest first. _newest: the number of the newest answer of each request.
    _answers: dict[int, _Given] = field(default_factory=dict)
    _newest: dict[bytes, int] = field(default_factory=dict)
    _bytes: int = 0
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, side: Side, bodies: Iterable[bytes]) -> dict[bytes, KeptCall]:
        """Return the answers that are known for some bodies."""
        with self._lock:
            pairs = ((body, self._newest_of(side, body)) for body in bodies)
            return {b: KeptCall(g.output, THIS_SESSION) for b, g in pairs if g is not None}

    def _newest_of(self, side: Side, body: bytes) -> _Given | None:
        number = self._newest.get(request_id(side, body))
        return None if number is None else self._answers.get(number)

    def add(self, side: Side, body: bytes, output: bytes) -> None:
        """Keep an answer. Of several to the same request, only the newest is found."""
        made = _Given(side.model_id, body, output)
        with self._lock:
            self._number += 1
            self._answers[self._number] = made
            self._newest[request_id(side, body)] = self._number
            self._bytes += made.size
            self._make_room()

    def note_saved(self, side: Side, bodies: Iterable[bytes]) -> None:
        """Note that the newest answers of some bodies are saved elsewhere."""
        with self._lock:
            for body in bodies:
                given = self._newest_of(side, body)
                if given is not None:
                    given.is_saved = True
            self._make_room()

    def held(self) -> Held:
        """Return how many answers there are."""
        with self._lock:
            unsaved = [each.size for each in self._answers.values() if not each.is_saved]
            return Held(len(self._answers), len(unsaved), sum(unsaved))

    def refuse_if_full(self) -> None:
        """Raise ConfigError if there is no room for more answers, before they are paid for."""
        held = self.held()
        if held.unsaved_bytes >= self.most:
            raise ConfigError(
                f"{held.unsaved:,} answers, {held.unsaved_bytes:,} bytes with their requests, are "
                "in the memory of this process only, and no more is asked before they are saved: "
                "save all answers by the link on the page of rows, or let the config keep them "
                "(answers)"
            )

    def lines(self) -> Iterator[bytes]:
        """Yield each answer as a line of JSON: `model`, `request` and `answer`, the oldest first.

        When the last one is taken, all of them count as saved.
        """
        with self._lock:
            taken = list(self._answers.values())
        for each in taken:
            model = msgspec.json.encode(each.model_id)
            # Both are JSON as they are; a line break between values would end the line.
            request, answer = (_one_line(text) for text in (each.body, each.output))
            yield b'{"model":%b,"request":%b,"answer":%b}\n' % (model, request, answer)
        with self._lock:
            for each in taken:
                each.is_saved = True
            self._make_room()

    def _make_room(self) -> None:
        """Forget the oldest saved answers while there is too much."""
        if self._bytes <= self.most:
            return
        for number, given in list(self._answers.items()):
            if self._bytes > self.most and given.is_saved:
                del self._answers[number]
                self._bytes -= given.size
        found = self._newest.items()
        self._newest = {key: number for key, number in found if number in self._answers}

    def with_keeper(self, side: Side, keeper: Keeper) -> Keeper:
        """Return a keeper that hands every answer on to another one, and remembers it."""
        return _Remembering(self, side, keeper)


def _one_line(text: bytes) -> bytes:
    return msgspec.json.format(text, indent=-1)


@dataclass(frozen=True)
class _Remembering:
    memory: AnswerMemory
    side: Side
    keeper: Keeper
    added: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, body: bytes, output: bytes, at: float, record_id: str | None = None) -> None:
        self.memory.add(self.side, body, output)
        self.keeper.add(body, output, at, record_id)
        self.added[body] = output

    def write(self, now: float) -> int:
        """Write to the store; what it keeps is saved."""
        written = self.keeper.write(now)
        answers = self.side.config.answers
        if written and answers is not None:
            bodies, outputs = list(self.added), list(self.added.values())
            kept = accepting(self.side.config)(outputs)
            pairs = zip(bodies, kept, strict=True)
            self.memory.note_saved(self.side, [body for body, is_kept in pairs if is_kept])
        return written
