"""Say what is wrong with a template, and how a column is written whose name is not a plain word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import jinja2
import jinja2.meta
import jinja2.nodes

from bedrock_spark.templates.expressions import environment
from bedrock_spark.templates.media import fetches_nothing

_ENV = environment(fetches_nothing)
# Words with spaces, dashes and the like between them, which can only be a column's name.
_ODD_NAME = re.compile(
    r"\{\{-?\s*([^\s{}|()\[\]'\"+*/~=<>!,][^{}|()\[\]'\"+*/~=<>!,]*?)\s*(?:\||-?\}\})"
)
_WORDS = {"and", "or", "not", "in", "is", "if", "else"}


def column_placeholder(name: str) -> str:
    """Return the placeholder that serves a column of any name: `{{ row["Major Genre"] }}`."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{{ row["{escaped}"] }}}}'


def explained(exc: jinja2.TemplateError, text: str) -> str:
    """Return what is wrong with a template whose compilation failed."""
    message = f"is not a valid template: {exc.message}"
    if _is_open(text, exc):
        message = "is not a valid template: a {{ or {% is not closed, by }} or %}"
    line = getattr(exc, "lineno", None)
    if line is not None and "\n" in text.rstrip("\n"):
        message += f" (line {line} of the text)"
    unknown = re.match(r"No (filter|test) named '(.*?)'", exc.message or "")
    hint = _nearest(unknown[1], unknown[2]) if unknown is not None else ""
    return message + (_odd_name(text, line) or hint)


def template_problems(text: str) -> list[str]:
    """Return everything that is wrong with a template, as far as it shows without a row."""
    try:
        tree = _ENV.parse(text)
    except jinja2.TemplateError as exc:
        return [explained(exc, text)]
    problems = list(dict.fromkeys(_unknown_names(tree)))
    problems = problems or list(dict.fromkeys(_calls(tree, text)))
    if problems:
        return problems
    try:
        _ENV.from_string(text)
    except jinja2.TemplateError as exc:
        return [explained(exc, text)]
    return []


def _unknown_names(tree: jinja2.nodes.Template) -> Iterator[str]:
    for node in tree.find_all((jinja2.nodes.Filter, jinja2.nodes.Test)):
        is_filter = isinstance(node, jinja2.nodes.Filter)
        kind, name = "filter" if is_filter else "test", str(node.name)
        if name not in (_ENV.filters if is_filter else _ENV.tests):
            yield f"is not a valid template: No {kind} named {name!r}.{_nearest(kind, name)}"


def _calls(tree: jinja2.nodes.Template, text: str) -> Iterator[str]:
    """A column cannot be called: `Price (EUR)` is a name with a space in it, or a mistake."""
    columns = jinja2.meta.find_undeclared_variables(tree)
    for node in tree.find_all(jinja2.nodes.Call):
        name = node.node.name if isinstance(node.node, jinja2.nodes.Name) else None
        if name in columns:
            whole = re.search(rf"\{{\{{-?\s*({re.escape(name)}\s*\([^(){{}}]*\))\s*-?\}}\}}", text)
            odd = whole[1] if whole else ""
            hint = f"; the column {odd} is written {column_placeholder(odd)}" if odd else ""
            yield f"calls {name}, but there are no functions, only filters{hint}"


def _nearest(kind: str, name: str) -> str:
    """Return a hint with the known filter or test (the kind) that is most like an unknown one."""
    known = list(_ENV.filters if kind == "filter" else _ENV.tests)
    usual = {"uppercase": "upper", "lowercase": "lower", "len": "length", "json": "tojson"}
    name = name.lower()
    close = [usual[name]] if name in usual else difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _is_open(text: str, exc: jinja2.TemplateError) -> bool:
    counts = [text.count(mark) for mark in ("{{", "}}", "{%", "%}")]
    is_syntax = isinstance(exc, jinja2.TemplateSyntaxError)
    is_assertion = isinstance(exc, jinja2.TemplateAssertionError)
    return is_syntax and not is_assertion and (counts[0] > counts[1] or counts[2] > counts[3])


def _odd_name(text: str, line: int | None) -> str:
    lines = text.split("\n")
    where = lines[line - 1] if line is not None and 0 < line <= len(lines) else text
    for name in _ODD_NAME.findall(where):
        words = re.split(r"[^\w$]+", name)
        is_odd = not name.replace(".", "_").isidentifier()
        if is_odd and _WORDS.isdisjoint(words):
            return f"; the column {name} is written {column_placeholder(name)}"
    return ""
