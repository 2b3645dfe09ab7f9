"""One statement of an IAM policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
_VERSION = "2012-10-17"
_DIGITS = "0123456789"


@dataclass(frozen=True)
class Statement:
    """A statement that allows actions on resources.

    sid: its name, of letters and digits
    resources: ARNs; none in a trust policy, which has a principal
    condition: operators, each with keys and values
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    service: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the statement as IAM takes it. One value stands alone, several in a list."""
        values: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow"}
        if self.service is not None:
            values["Principal"] = {"Service": self.service}
        values["Action"] = _one_or_all(self.actions)
        if self.resources:
            values["Resource"] = _one_or_all(self.resources)
        if self.condition:
            values["Condition"] = {k: dict(v) for k, v in self.condition.items()}
        return values


def policy(statements: Sequence[Statement]) -> dict[str, Any]:
    """Return a policy of statements."""
    return {"Version": _VERSION, "Statement": [s.as_json() for s in statements]}


def united(statements: Iterable[Statement]) -> list[Statement]:
    """Return statements of which those of one name and one condition are one."""
    found: list[Statement] = []
    for each in statements:
        names = [other.sid for other in found]
        alike = [
            place
            for place, other in enumerate(found)
            if other.sid.rstrip(_DIGITS) == each.sid and other.condition == each.condition
        ]
        if alike:
            other = found[alike[0]]
            actions = list(dict.fromkeys([*other.actions, *each.actions]))
            resources = list(dict.fromkeys([*other.resources, *each.resources]))
            found[alike[0]] = replace(other, actions=actions, resources=resources)
        else:
            count = sum(name.rstrip(_DIGITS) == each.sid for name in names)
            found.append(replace(each, sid=f"{each.sid}{count + 1}") if count else each)
    return found


def _one_or_all(values: Sequence[str]) -> str | list[str]:
    unique = list(dict.fromkeys(values))
    return unique[0] if len(unique) == 1 else unique
