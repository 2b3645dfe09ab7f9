"""What a stage tells whoever watches it: a value, handed to a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage is. `total` is None while it is not known."""

    stage: str
    done: int
    total: int | None
    detail: str = ""


Observer = Callable[[Progress], None]


def unobserved(progress: Progress) -> None:
    """Watch nothing."""
