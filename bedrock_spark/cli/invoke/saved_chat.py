"""A chat in a file, which only --save writes: one JSON object a line, each turn as it ends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bedrock_spark.clock import iso_time
from bedrock_spark.errors import ConfigError, StorageError
from bedrock_spark.families.turns import Turn

# Nobody else on the machine may read what was asked.
_OWNER_ONLY = 0o600


class SavedTurn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the file: a turn, or the start of a new conversation (`reset`).

    cost_usd: as text, which holds it exactly
    is_cut_off: whether the answer is only the part before Ctrl-C
    """

    question: str = ""
    answer: str = ""
    model: str = ""
    system: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: str | None = None
    at: str | None = None
    is_cut_off: bool = False
    reset: bool = False


@dataclass(frozen=True)
class Loaded:
    """What a file holds: the turns since the last reset, and the system prompt of the last one."""

    turns: tuple[Turn, ...] = ()
    system: str | None = None


@dataclass(frozen=True)
class SavedChat:
    """The file of a chat."""

    path: Path

    def load(self) -> Loaded:
        """Return the chat in the file; an empty one if there is no file. Raises ConfigError."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            self.append()
            return Loaded()
        except OSError as exc:
            raise ConfigError(f"--save {self.path}: {exc.strerror or exc}") from exc
        turns: list[Turn] = []
        system = None
        for number, line in enumerate(lines, 1):
            turn = self._turn(line, number)
            system = turn.system
            if turn.reset:
                turns.clear()
            else:
                turns.append(Turn(turn.question, turn.answer))
        return Loaded(tuple(turns), system)

    def _turn(self, line: bytes, number: int) -> SavedTurn:
        try:
            turn = msgspec.json.decode(line, type=SavedTurn)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            turn = SavedTurn()
        if not turn.reset and not (turn.question.strip() and turn.answer.strip()):
            raise ConfigError(
                f"--save {self.path}: line {number} is no turn of a chat that --save wrote; name "
                "another file, or delete this line"
            )
        return turn

    def add(self, turn: SavedTurn, now: float) -> None:
        """Add a turn. now: seconds since the epoch. Raises StorageError."""
        try:
            self.append(
                msgspec.json.encode(msgspec.structs.replace(turn, at=iso_time(now))) + b"\n"
            )
        except ConfigError as exc:
            raise StorageError(str(exc)) from exc

    def append(self, data: bytes = b"") -> None:
        """Add a line to the file, which is made if it is not there. Raises ConfigError.

        data: the line with its newline, or nothing. If the last line of the file has no newline,
        because an editor left it out, it gets one, so that the new line does not continue it.
        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _OWNER_ONLY)
            with os.fdopen(file, "r+b", buffering=0) as stream:
                size = stream.seek(0, os.SEEK_END)
                is_open = bool(size) and os.pread(file, 1, size - 1) != b"\n"
                # One write: another process that appends cannot come between the two.
                stream.write(b"\n" + data if is_open and data else data)
        except OSError as exc:
            raise ConfigError(f"--save {self.path}: {exc.strerror or exc}") from exc
