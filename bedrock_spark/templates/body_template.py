"""Body templates: any JSON value whose strings may hold `{{ column }}` placeholders.

The template language is Jinja, in its sandbox. A placeholder inside a longer string becomes text. A
string that is only one placeholder becomes the column's value, in its own type. Data is never
evaluated, even if it looks like a template.

The common case, plain columns between literal text, is compiled to a list of JSON fragments and
does not call Jinja. A row that cannot be rendered raises RowRejected, which names the column and
the reason; the caller turns it into a rejected row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import jinja2
import jinja2.meta
import jinja2.nodes
import msgspec

from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.templates.explain import explained
from bedrock_spark.templates.expressions import MEDIA_FILTERS, NotThereError, environment
from bedrock_spark.templates.json_values import NOT_UTF8, Unreadable, Unrenderable, as_json, as_text
from bedrock_spark.templates.media import Fetch, fetches_nothing, uris_in
from bedrock_spark.templates.placeholders import (
    Placeholder,
    Row,
    RowRejected,
    name_row_columns,
    placeholder_of,
)
from bedrock_spark.templates.text_check import TextCheck

__all__ = [
    "BodyTemplate",
    "Hole",
    "Row",
    "RowRejected",
    "Splice",
    "compile_template",
    "rejection_reason",
]

Render = Callable[[Row], bytes]


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


_ENV = environment(fetches_nothing)


@dataclass(frozen=True)
class Hole:
    """The place of a column's value in a body.

    in_text: whether the place is inside a longer string; if not, it takes a value of any type
    """

    column: str
    in_text: bool


@dataclass(frozen=True)
class BodyTemplate:
    """A compiled template.

    columns: the columns that it reads
    static_bytes: the size of its literal parts
    parts: literal JSON, and functions that render a placeholder
    media: the placeholders of images and documents, as far as the template shows them
    checks: the texts that the model takes only with some words in them, or up to a length
    """

    columns: tuple[str, ...]
    static_bytes: int
    parts: tuple[bytes | Render, ...]
    media: tuple[Placeholder, ...] = ()
    checks: tuple[TextCheck, ...] = ()

    def render(self, row: Row) -> bytes:
        """Return the body of a row as compact JSON. Raises RowRejected."""
        for name in self.columns:
            value = row.get(name)
            if type(value) is Unreadable:
                raise RowRejected(name, value.reason)
        for check in self.checks:
            check(row)
        return b"".join(p if isinstance(p, bytes) else p(row) for p in self.parts)

    @cached_property
    def holes(self) -> tuple[bytes | Hole, ...] | None:
        """The literal parts and the columns between them, if no column of a row is null.

        None if the template needs more than columns: fields, expressions, images.
        """
        holes: list[bytes | Hole] = []
        for part in self.parts:
            if isinstance(part, bytes):
                holes.append(part)
            elif isinstance(part, (_TypedPart, _TextPart)) and not part.placeholder.path:
                holes.append(Hole(part.placeholder.column, isinstance(part, _TextPart)))
            else:
                return None
        return tuple(holes)

    def uris(self, row: Row) -> list[str]:
        """Return the URIs that rendering a row will fetch, as far as the template shows them."""
        uris: list[str] = []
        for placeholder in self.media:
            try:
                uris += uris_in(placeholder.of(row))
            except RowRejected:
                continue  # render() rejects the row, with the reason
        return uris


@runtime_checkable
class Splice(Protocol):
    """A placeholder in a list for members that depend on the row: none, one or many.

    media: the columns that the members are made from
    """

    @property
    def media(self) -> tuple[str, ...]: ...

    def members(self, row: Row, fetch: Fetch) -> Iterable[Mapping[str, Any]]:
        """Return the members for a row. Raises RowRejected."""
        ...


@dataclass
class _Compiled:
    """The parts of a template that are compiled so far."""

    env: jinja2.Environment
    fetch: Fetch
    parts: list[bytes | Render] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    media: list[Placeholder] = field(default_factory=list)
    rendered: dict[str, Render] = field(default_factory=dict)


def compile_template(
    body: Any,
    where: str = "request.body",
    fetch: Fetch = fetches_nothing,
    checked: Sequence[str] = (),
    max_characters: int | None = None,
) -> BodyTemplate:
    """Compile a JSON value. Raises ConfigError if a placeholder is not valid.

    where: the key path of the value, for messages
    fetch: returns the bytes of an S3 object that a row names as an image or a document
    checked: templates of the texts that must not become blank
    max_characters: the most characters that one of them may become; None for any number
    """
    out = _Compiled(_ENV if fetch is fetches_nothing else environment(fetch), fetch)
    _compile_value(body, where, out)
    merged = _merged(out.parts)
    return BodyTemplate(
        columns=tuple(dict.fromkeys(out.columns)),
        static_bytes=sum(len(p) for p in merged if isinstance(p, bytes)),
        parts=tuple(merged),
        media=tuple(dict.fromkeys(out.media)),
        checks=tuple(_checks(checked, max_characters, out)),
    )


def _checks(checked: Iterable[str], most: int | None, out: _Compiled) -> Iterator[TextCheck]:
    """Yield the check of each text that rows can make blank or too long."""
    for text in dict.fromkeys(checked):
        tree = out.env.parse(text)
        named = name_row_columns(tree)
        names = {named.get(v, v) for v in jinja2.meta.find_undeclared_variables(tree)}
        data = tree.find_all(jinja2.nodes.TemplateData)
        literals = [node.data for node in data if not node.data.isspace()]
        pieces = _simple_pieces(tree, named)
        # The literal texts of an expression may be those of a branch that a row does not take.
        may_be_blank = pieces is None or not literals
        if not names or (most is None and not may_be_blank):
            continue
        if pieces is None:
            # The rendering is shared with the body, unless a family wraps the text in others.
            jinja = out.rendered.get(text) or _jinja_text(
                out.env.from_string(tree), names, _literals(tree), named
            )
            yield TextCheck(", ".join(sorted(names)), (jinja,), None, 0, may_be_blank, most)
            continue
        placeholders = [piece for piece in pieces if isinstance(piece, Placeholder)]
        yield TextCheck(
            label=", ".join(dict.fromkeys(p.name() for p in placeholders)),
            parts=tuple(_escaped(p) if isinstance(p, str) else _TextPart(p) for p in pieces),
            columns=(
                None
                if any(p.path for p in placeholders)
                else tuple(placeholder.column for placeholder in placeholders)
            ),
            literal_characters=sum(len(p) for p in pieces if isinstance(p, str)),
            may_be_blank=may_be_blank,
            max_characters=most,
        )


def _compile_value(value: Any, where: str, out: _Compiled) -> None:
    if isinstance(value, str):
        _compile_string(value, where, out)
    elif isinstance(value, Mapping):
        for i, (key, item) in enumerate(value.items()):
            out.parts.append((b"," if i else b"{") + msgspec.json.encode(str(key)) + b":")
            _compile_value(item, f"{where}.{key}", out)
        out.parts.append(b"}" if value else b"{}")
    elif isinstance(value, (list, tuple)):
        _compile_list(value, where, out)
    else:
        try:
            out.parts.append(as_json(value))
        except (ValueError, TypeError) as exc:
            raise ConfigError(f"{where}: {rejection_reason(exc)}") from None


def _compile_list(items: Sequence[Any], where: str, out: _Compiled) -> None:
    out.parts.append(b"[")
    for i, item in enumerate(items):
        if isinstance(item, Splice):
            # Each member of a Splice ends with a comma, so an item of the list must follow it.
            out.parts.append(_spliced(item, out.fetch))
            out.columns += item.media
            out.media += map(Placeholder, item.media)
            continue
        _compile_value(item, f"{where}[{i}]", out)
        out.parts.append(b"," if i < len(items) - 1 else b"")
    out.parts.append(b"]")


def _spliced(splice: Splice, fetch: Fetch) -> Render:
    def render(row: Row) -> bytes:
        # msgspec writes bytes as base64.
        return b"".join(msgspec.json.encode(m) + b"," for m in splice.members(row, fetch))

    return render


def _compile_string(text: str, where: str, out: _Compiled) -> None:
    try:
        tree = out.env.parse(text)
        named = name_row_columns(tree)
        variables = jinja2.meta.find_undeclared_variables(tree)
        pieces = _simple_pieces(tree, named)
        template = out.env.from_string(tree) if pieces is None else None
    except jinja2.TemplateError as exc:
        raise ConfigError(f"{where}: {explained(exc, text)}") from None
    names = {named.get(variable, variable) for variable in variables}
    out.columns += sorted(names)
    out.media += (
        placeholder
        for placeholder in _media_placeholders(tree, named)
        if placeholder.column in names
    )
    if template is not None:
        jinja = _jinja_text(template, names, _literals(tree), named)
        out.rendered[text] = jinja
        out.parts += [b'"', jinja, b'"']
    elif pieces is not None and len(pieces) == 1 and not isinstance(pieces[0], str):
        out.parts.append(_TypedPart(pieces[0]))
    else:
        texts = (_escaped(p) if isinstance(p, str) else _TextPart(p) for p in pieces or ())
        out.parts += [b'"', *texts, b'"']


def _literals(tree: jinja2.nodes.Template) -> set[Any]:
    """Return the names, texts and numbers that an expression itself has: they are no row's."""
    literals: set[Any] = {node.attr for node in tree.find_all(jinja2.nodes.Getattr)}
    for node in tree.find_all(jinja2.nodes.Const):
        if isinstance(node.value, str):
            # A filter's attribute may be a path: `map(attribute="a.0.b")`.
            parts = node.value.split(".")
            literals |= {node.value, *parts, *(int(part) for part in parts if part.isdecimal())}
        elif isinstance(node.value, int):
            literals.add(node.value)
    return literals


def _media_placeholders(
    tree: jinja2.nodes.Template, named: Mapping[str, str]
) -> Iterator[Placeholder]:
    for node in tree.find_all(jinja2.nodes.Filter):
        if node.name in MEDIA_FILTERS and node.node:
            placeholder = placeholder_of(node.node)
            if placeholder is not None:
                yield _with_column(placeholder, named)


def _with_column(placeholder: Placeholder, named: Mapping[str, str]) -> Placeholder:
    return replace(placeholder, column=named.get(placeholder.column, placeholder.column))


def _simple_pieces(
    tree: jinja2.nodes.Template, named: Mapping[str, str]
) -> Sequence[str | Placeholder] | None:
    """Return literal texts and simple placeholders, or None if only Jinja can render the tree."""
    pieces: list[str | Placeholder] = []
    for output in tree.body:
        if not isinstance(output, jinja2.nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, jinja2.nodes.TemplateData):
                pieces.append(node.data)
                continue
            placeholder = placeholder_of(node)
            if placeholder is None:
                return None
            pieces.append(_with_column(placeholder, named))
    return pieces


@dataclass(frozen=True)
class _TypedPart:
    """A string that is only a placeholder: the value as JSON of its own type."""

    placeholder: Placeholder

    def __call__(self, row: Row) -> bytes:
        value = self.placeholder.of(row)
        try:
            return msgspec.json.encode(value) if type(value) is str else as_json(value)
        except (ValueError, TypeError) as exc:
            raise _rejected(self.placeholder, exc) from None


@dataclass(frozen=True)
class _TextPart:
    """A placeholder inside a longer string: the value as escaped text."""

    placeholder: Placeholder

    def __call__(self, row: Row) -> bytes:
        value = self.placeholder.of(row)
        try:
            return _escaped(value if type(value) is str else as_text(value))
        except (ValueError, TypeError) as exc:
            raise _rejected(self.placeholder, exc) from None


def _rejected(placeholder: Placeholder, exc: Exception) -> RowRejected:
    return RowRejected(placeholder.name(), rejection_reason(exc))


def rejection_reason(exc: Exception) -> str:
    """Return the reason why a value cannot be rendered, without showing the value."""
    # Only our own messages are known to hold no data. Of other errors, only the type is shown.
    if isinstance(exc, Unrenderable):
        return str(exc)
    if isinstance(exc, UnicodeError):
        return NOT_UTF8
    return f"cannot be rendered ({type(exc).__name__})"


def _jinja_text(
    template: jinja2.Template, names: set[str], literals: set[Any], named: Mapping[str, str]
) -> Render:
    label = ", ".join(sorted(names))
    last: list[tuple[Row, bytes]] = []  # the check of a text and the body need the same rendering

    def render(row: Row) -> bytes:
        if not last or last[0][0] is not row:
            last[:] = [(row, rendered(row))]
        return last[0][1]

    def rendered(row: Row) -> bytes:
        try:
            more = {variable: row[column] for variable, column in named.items()}
            return _escaped(template.render(row, **more))
        except NotThereError as exc:
            raise RowRejected(label, _missing_reason(exc.name, literals)) from None
        except BedrockSparkError:
            raise  # S3 failed, not the row
        except Exception as exc:  # noqa: BLE001 - an expression over data may fail in any way
            raise RowRejected(label, rejection_reason(exc)) from None

    return render


def _missing_reason(name: Any, literals: set[Any]) -> str:
    """Return the reason of a NotThereError. A name that is not the template's own is a value."""
    if type(name) in (str, int) and name in literals:
        return f"cannot be rendered: has no {'element' if type(name) is int else 'field'} {name}"
    return "cannot be rendered: names a field or an element that is not there"


def _merged(parts: list[bytes | Render]) -> list[bytes | Render]:
    merged: list[bytes | Render] = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
