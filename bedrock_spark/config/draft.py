"""What is usable of a config that has problems, so that the rest of it can be checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bedrock_spark.config.base import Section, copied
from bedrock_spark.config.config import Config
from bedrock_spark.config.words import nearest_key

_MOST_CORRECTIONS = 50


@dataclass(frozen=True)
class Draft:
    """A config whose faulty values are left out.

    broken: the sections that lack something without which they mean nothing. Their values may be of
        any type
    """

    config: Config
    broken: frozenset[str] = frozenset()

    def has(self, *sections: str) -> bool:
        """Tell whether all these sections can be used."""
        return self.broken.isdisjoint(sections)


def draft_of(values: Mapping[str, Any]) -> Draft:
    """Return what is usable of plain values. Faults are left out, and not reported."""
    sections: dict[str, Any] = {}
    broken = set()
    values = _with_keys_corrected(values, Config)
    for name, field in Config.model_fields.items():
        if name not in values:
            sections[name] = _unchecked(field, None)
            broken |= {name} if field.is_required() else set()
            continue
        try:
            sections[name] = _usable(field, values[name])
        except _BrokenError as exc:
            sections[name] = exc.value
            broken.add(name)
    return Draft(Config.model_construct(**sections), frozenset(broken))


class _BrokenError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def _usable(field: FieldInfo, value: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Section):
        value = _with_keys_corrected(value, kind)
    value = copied(value)
    for _ in range(_MOST_CORRECTIONS):
        try:
            return adapter.validate_python(value)
        except ValidationError as exc:
            error = exc.errors(include_url=False)[0]
        if not _left_out(value, error):
            break
    raise _BrokenError(_unchecked(field, value))


def _left_out(value: Any, error: ErrorDetails) -> bool:
    """Remove the value that an error is about; tell whether that could be done."""
    if not error["loc"] or error["type"] == "missing":
        return False
    parent = value
    for step in error["loc"][:-1]:
        below = parent.get(step) if isinstance(parent, dict) else None
        if not isinstance(below, dict):
            return _removed(parent, step)
        parent = below
    return _removed(parent, error["loc"][-1])


def _removed(parent: Any, step: int | str) -> bool:
    if not isinstance(parent, dict) or step not in parent:
        return False
    del parent[step]
    return True


def _unchecked(field: FieldInfo, value: Any) -> Any:
    kind = field.annotation
    if not isinstance(kind, type) or not issubclass(kind, Section):
        return None if field.is_required() else field.get_default()
    if not field.is_required() and not isinstance(value, dict):
        return field.get_default()
    items = value.items() if isinstance(value, dict) else ()
    known = {k: v for k, v in items if k in kind.model_fields}
    return kind.model_construct(**known)


def _with_keys_corrected(values: Any, section: type[Section]) -> Any:
    """Return a section in which each misspelt key has the name that was most likely meant."""
    if not isinstance(values, dict):
        return values
    corrected = {}
    for key, value in values.items():
        meant = key if key in section.model_fields else nearest_key(str(key), section)
        corrected[meant if meant and meant not in values else key] = value
    return corrected
