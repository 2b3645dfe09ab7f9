"""Problems of a config: each with the key that it is about, and the place of that key in the file.

A message begins with the key, as in `request.prompt: is not a valid template`. So the place of any
such message is found by its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bedrock_spark.errors import ConfigError

# The keys from the root of a config to a value. An element of a list has its index.
KeyPath = tuple[str | int, ...]

_KEY = re.compile(r"[a-z_]\w*(?:\.[\w-]+|\[\d+\])*(?=[ :,])")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Problem:
    """What is wrong, which key, and what to do.

    text: begins with the key; shows no prompt and no secret
    line: of the file, from 1; None if the key tells
    """

    text: str
    line: int | None = None

    @property
    def path(self) -> KeyPath:
        """Return the keys to the value that the text names; () if it names none."""
        match = _KEY.match(self.text)
        return path_of(match[0]) if match else ()


class Problems(ValueError):  # noqa: N818 - pydantic catches it as a ValueError
    """Several problems that one validator has found."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        super().__init__("; ".join(self.texts))


@dataclass(frozen=True)
class Origin:
    """Where a config comes from. It is no part of the config's value: all origins are equal.

    name: the file, or another name for messages
    lines: the line of each key
    overrides: the keys that the command line has set
    is_file: whether `name` is a file
    stage: the stage of the file that it is
    """

    name: str = "config"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: frozenset[KeyPath] = frozenset()
    is_file: bool = False
    stage: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origin)

    def __hash__(self) -> int:
        return 0

    def located(self, problem: Problem, *, is_common: bool = False) -> str:
        """Return a problem's text behind its place: `tickets.yaml:4: request.prompt: …`.

        is_common: whether the stage is left out, because all stages have this problem
        """
        text = problem.text
        if self.stage is not None and not is_common:
            text = f"stage {self.stage}: {text}"
        if problem.line is not None:
            return f"{self.name}:{problem.line}: {text}"
        path = problem.path
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return f"--set {text}"
            if path[:length] in self.lines:
                return f"{self.name}:{self.lines[path[:length]]}: {text}"
        is_in_file = self.is_file and not problem.text.startswith("--set ")
        return f"{self.name}: {text}" if is_in_file else text

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """Return the error that lists all problems, one a line, each of them once."""
        lines = list(dict.fromkeys(map(self.located, sorted(problems, key=self._order))))
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        return ConfigError("\n  ".join([f"{self.name}: {count}", *lines]))

    def _order(self, problem: Problem) -> float:
        """Return the line that a problem is sorted by. Keys that are not there come first."""
        if problem.line is not None:
            return problem.line
        path = problem.path
        prefixes = (path[:length] for length in range(len(path), 0, -1))
        return next((self.lines[p] for p in prefixes if p in self.lines), 0)


def path_of(key: str) -> KeyPath:
    """Return the path of a key: `targets[0].uri` is ("targets", 0, "uri")."""
    return tuple(int(index) if index else name for name, index in _STEP.findall(key))


def key_of(path: Iterable[str | int]) -> str:
    """Return the key of a path, in the form of messages: `targets[0].uri`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def problem_of(exc: ConfigError) -> list[Problem]:
    """Return the problems that an error of one check names: one a line."""
    return [Problem(line.strip()) for line in str(exc).split("\n") if line.strip()]
