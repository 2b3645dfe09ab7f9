"""The progress of a stage: a value that is passed to an observer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage is. `total` is None as long as it is unknown."""

    stage: str
    done: int
    total: int | None
    detail: str = ""


Observer = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Ignore the progress."""
