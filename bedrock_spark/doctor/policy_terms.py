"""Read IAM policies as far as a role's trust and a bucket's policy need it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def statements_of(policy: str | Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy, which is JSON or its value."""
    value = json.loads(policy) if isinstance(policy, str) else policy
    own = value.get("Statement", [])
    yield from [own] if isinstance(own, Mapping) else own


def listed(value: Any) -> list[str]:
    """Return one value or several as a list."""
    return (
        [] if value is None else [str(v) for v in (value if isinstance(value, list) else [value])]
    )


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern with IAM's wildcards, `*` and `?`, matches the whole text."""
    parts = (re.escape(part) for part in re.split(r"([*?])", pattern))
    regex = "".join({r"\*": ".*", r"\?": "."}.get(part, part) for part in parts)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def names_action(statement: Mapping[str, Any], action: str) -> bool:
    """Tell whether a statement is about an action. Actions ignore case."""
    if "NotAction" in statement:
        return not any(_is_action(p, action) for p in listed(statement["NotAction"]))
    return any(_is_action(p, action) for p in listed(statement.get("Action")))


def _is_action(pattern: str, action: str) -> bool:
    return matches(pattern.lower(), action.lower())


def principals_of(statement: Mapping[str, Any], kind: str) -> list[str]:
    """Return the principals of a kind, such as Service or AWS; `*` stands for everybody."""
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        return listed(principal.get(kind))
    return listed(principal)


def conditions_of(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield operator, key in lower case and values of each condition. All of them must hold."""
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            yield operator, key.lower(), listed(values)


def holds(operator: str, values: list[str], text: str) -> bool | None:
    """Tell whether a condition on a text holds; None for an operator that is not read here."""
    name = operator.removesuffix("IfExists")
    if name in ("StringEquals", "StringEqualsIgnoreCase"):
        return any(value.lower() == text.lower() for value in values)
    if name in ("StringLike", "ArnLike", "ArnEquals"):
        return any(matches(value, text) for value in values)
    if name in ("StringNotEquals", "StringNotLike", "ArnNotLike", "ArnNotEquals"):
        return not any(matches(value, text) for value in values)
    return None
