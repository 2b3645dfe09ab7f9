"""The body that a rule of the linter looks at, and what rules ask of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.families.base import Family
from bedrock_spark.families.ceilings import SECTIONS

_PLACEHOLDER = re.compile(r"\{[{%]")


@dataclass(frozen=True)
class Body:
    """A body template before it is compiled, or a body that was rendered from a row.

    root: the key path of the body in the config
    """

    root: str
    body: Mapping[str, Any]
    model_id: str
    family: Family

    @property
    def is_converse(self) -> bool:
        return self.family.name == "converse"

    def path(self, *keys: str) -> str:
        return ".".join((self.root, *keys))


# A rule returns the key paths of a fault and its message, or None.
Fault = tuple[list[str], str] | None
Rule = Callable[[Body], Fault]


def options_of(body: Body) -> tuple[str, Mapping[str, Any]]:
    """Return the key path and the members of the model's options: a section, or the whole body."""
    for name in SECTIONS:
        section = body.body.get(name)
        if isinstance(section, Mapping):
            return body.path(name), section
    return body.root, body.body


def is_open(value: Any) -> bool:
    """Tell whether a value of a template depends on the row."""
    return isinstance(value, str) and _PLACEHOLDER.search(value) is not None
