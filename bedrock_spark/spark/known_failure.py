"""A failure of Spark that has a sentence of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A failure that has a sentence of its own.

    pattern: is searched in all classes and messages of the chain
    describe: makes the sentence of the match, the file (or "a file") and the whole text
    of_source: whether the source is at fault, and not the cluster or a task
    """

    pattern: re.Pattern[str]
    describe: Callable[[re.Match[str], str, str], str]
    of_source: bool = True


def known(
    pattern: str, describe: Callable[[re.Match[str], str, str], str], *, of_source: bool = True
) -> Known:
    """Return a known failure. `.` of the pattern matches line breaks, `^` the begin of a line."""
    return Known(re.compile(pattern, re.S | re.M), describe, of_source)
