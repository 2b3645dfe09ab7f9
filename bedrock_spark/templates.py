"""Body templates: any JSON value whose strings may hold `{{ column }}` placeholders.

The template language is Jinja's, in its sandbox. A placeholder inside a longer string becomes
text; a string that is nothing but one placeholder takes the column's own type. The data is only
ever a value: template text found in it is not evaluated.

The common case, plain columns between literal text, is compiled to a list of JSON fragments and
never enters Jinja. A row that cannot be rendered raises RowRejected, which says which column and
why; the caller turns it into data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
import msgspec

from bedrock_spark.errors import ConfigError
from bedrock_spark.expressions import environment
from bedrock_spark.lookups import Lookup, Row, RowRejected, lookup_of
from bedrock_spark.values import NOT_UTF8, Unreadable, Unrenderable, as_json, as_text

__all__ = ["BodyTemplate", "Row", "RowRejected", "compile_template", "reason_of"]

Render = Callable[[Row], bytes]


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


_ENV = environment()


@dataclass(frozen=True)
class BodyTemplate:
    """A compiled template. `columns` are the columns it reads; `static_bytes` its literal part."""

    columns: tuple[str, ...]
    static_bytes: int
    parts: tuple[bytes | Render, ...]

    def render(self, row: Row) -> bytes:
        """Return the body of a row as compact JSON. Raises RowRejected."""
        for name in self.columns:
            value = row.get(name)
            if type(value) is Unreadable:
                raise RowRejected(name, value.reason)
        return b"".join(p if isinstance(p, bytes) else p(row) for p in self.parts)

    def pieces(self, columns: Mapping[str, Sequence[Any]]) -> list[Iterable[bytes]] | None:
        """Return the fragments of many bodies, part by part: joined row by row they are the bodies.

        None where a row must be looked at: values other than text, nulls, fields, expressions.
        """
        pieces: list[Iterable[bytes]] = []
        for part in self.parts:
            if isinstance(part, bytes):
                pieces.append(itertools.repeat(part))
                continue
            if not isinstance(part, (_TypedPart, _TextPart)) or part.lookup.path:
                return None
            values = columns[part.lookup.column]
            if set(map(type, values)) != {str}:
                return None
            pieces.append(part.of_texts(values))
        return pieces


def compile_template(body: Any, where: str = "request.body") -> BodyTemplate:
    """Compile a JSON value. Raises ConfigError where a placeholder is not valid."""
    parts: list[bytes | Render] = []
    columns: list[str] = []
    _compile_value(body, where, parts, columns)
    merged = _merged(parts)
    return BodyTemplate(
        columns=tuple(dict.fromkeys(columns)),
        static_bytes=sum(len(p) for p in merged if isinstance(p, bytes)),
        parts=tuple(merged),
    )


def _compile_value(value: Any, where: str, parts: list[bytes | Render], columns: list[str]) -> None:
    if isinstance(value, str):
        _compile_string(value, where, parts, columns)
    elif isinstance(value, Mapping):
        for i, (key, item) in enumerate(value.items()):
            parts.append((b"," if i else b"{") + msgspec.json.encode(str(key)) + b":")
            _compile_value(item, f"{where}.{key}", parts, columns)
        parts.append(b"}" if value else b"{}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            parts.append(b"," if i else b"[")
            _compile_value(item, f"{where}[{i}]", parts, columns)
        parts.append(b"]" if value else b"[]")
    else:
        try:
            parts.append(as_json(value))
        except (ValueError, TypeError) as exc:
            raise ConfigError(f"{where}: {reason_of(exc)}") from None


def _compile_string(text: str, where: str, parts: list[bytes | Render], columns: list[str]) -> None:
    try:
        tree = _ENV.parse(text)
        names = jinja2.meta.find_undeclared_variables(tree)
        pieces = _simple_pieces(tree)
        template = _ENV.from_string(text) if pieces is None else None
    except jinja2.TemplateError as exc:
        raise ConfigError(f"{where}: is not a valid template: {exc.message}") from None
    columns.extend(sorted(names))
    if template is not None:
        parts += [b'"', _jinja_text(template, names), b'"']
    elif pieces is not None and len(pieces) == 1 and not isinstance(pieces[0], str):
        parts.append(_TypedPart(pieces[0]))
    else:
        parts.append(b'"')
        parts += [_escaped(p) if isinstance(p, str) else _TextPart(p) for p in pieces or ()]
        parts.append(b'"')


def _simple_pieces(tree: jinja2.nodes.Template) -> Sequence[str | Lookup] | None:
    """Return literal text and lookups, or None where only Jinja can do it."""
    pieces: list[str | Lookup] = []
    for output in tree.body:
        if not isinstance(output, jinja2.nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, jinja2.nodes.TemplateData):
                pieces.append(node.data)
                continue
            lookup = lookup_of(node)
            if lookup is None:
                return None
            pieces.append(lookup)
    return pieces


@dataclass(frozen=True)
class _TypedPart:
    """A string that is nothing but a placeholder: the value as JSON of its own type."""

    lookup: Lookup

    def __call__(self, row: Row) -> bytes:
        value = self.lookup.of(row)
        try:
            return msgspec.json.encode(value) if type(value) is str else as_json(value)
        except (ValueError, TypeError) as exc:
            raise _rejected(self.lookup, exc) from None

    def of_texts(self, texts: Sequence[str]) -> Iterable[bytes]:
        return map(msgspec.json.encode, texts)


@dataclass(frozen=True)
class _TextPart:
    """A placeholder inside a longer string: the value as escaped text."""

    lookup: Lookup

    def __call__(self, row: Row) -> bytes:
        value = self.lookup.of(row)
        try:
            return _escaped(value if type(value) is str else as_text(value))
        except (ValueError, TypeError) as exc:
            raise _rejected(self.lookup, exc) from None

    def of_texts(self, texts: Sequence[str]) -> Iterable[bytes]:
        encode = msgspec.json.encode
        return [encode(text)[1:-1] for text in texts]


def _rejected(lookup: Lookup, exc: Exception) -> RowRejected:
    return RowRejected(lookup.name(), reason_of(exc))


def reason_of(exc: Exception) -> str:
    """Say why a value cannot be rendered, without showing the value."""
    # Only our own words are known to be free of data; other errors are named by their type.
    if isinstance(exc, Unrenderable):
        return str(exc)
    if isinstance(exc, UnicodeError):
        return NOT_UTF8
    return f"cannot be rendered ({type(exc).__name__})"


def _jinja_text(template: jinja2.Template, names: set[str]) -> Render:
    label = ", ".join(sorted(names))

    def render(row: Row) -> bytes:
        try:
            return _escaped(template.render(row))
        except jinja2.UndefinedError as exc:
            raise RowRejected(label, f"cannot be rendered: {exc.message}") from None
        except Exception as exc:  # noqa: BLE001 - an expression over data may fail in any way
            raise RowRejected(label, reason_of(exc)) from None

    return render


def _merged(parts: list[bytes | Render]) -> list[bytes | Render]:
    merged: list[bytes | Render] = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
