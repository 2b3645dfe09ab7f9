"""A finding: one line of `doctor`, as data. docs/schemas/doctor.json is the JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is.

    UNKNOWN: it could not be checked, so it is neither well nor an error
    """

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "not checked"


@dataclass(frozen=True)
class Finding:
    """One line.

    what: what was found, and of which thing; it ends without a full stop
    fix: the correction to paste: a command, a policy statement or a line of the config
    """

    level: Level
    what: str
    fix: str | None = None


def ok(what: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, what)


def warning(what: str, fix: str | None = None) -> Finding:
    """Return a finding that a run can live with."""
    return Finding(Level.WARNING, what, fix)


def error(what: str, fix: str | None = None) -> Finding:
    """Return a finding that ends a run, or loses what it has made."""
    return Finding(Level.ERROR, what, fix)


def unknown(what: str, fix: str | None = None) -> Finding:
    """Return a finding that something could not be checked, and what would allow it."""
    return Finding(Level.UNKNOWN, what, fix)


@dataclass(frozen=True)
class Group:
    """The findings about one subject, such as `bucket`."""

    subject: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a config, as `doctor --json` prints them.

    errors, warnings, not_checked: the number of findings of these levels
    """

    config: str
    groups: tuple[Group, ...]
    errors: int
    warnings: int
    not_checked: int

    @classmethod
    def of(cls, config: str, found: Iterable[tuple[str, Finding]]) -> Diagnosis:
        """Return the diagnosis of findings with their subjects, in the order of first mention."""
        by_subject: dict[str, list[Finding]] = {}
        for subject, finding in found:
            by_subject.setdefault(subject, []).append(finding)
        groups = tuple(Group(subject, tuple(own)) for subject, own in by_subject.items())
        levels = [finding.level for group in groups for finding in group.findings]
        count = levels.count
        return cls(
            config, groups, *(count(Level.ERROR), count(Level.WARNING)), count(Level.UNKNOWN)
        )
