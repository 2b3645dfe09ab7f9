"""Read the text of a config: YAML or JSON, with the line of each key, and every fault of the text.

Python's YAML reader stops at the first fault, and lets the last of two equal keys win. This module
works on its tree of nodes, which still has both keys and all lines. A fault with one likely cause
is corrected in memory, so that the faults behind it are found in the same pass: placeholders
without quotes, tabs, keys that are given twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from bedrock_spark.config.placeholder_quotes import is_placeholder, quote_line, quoted
from bedrock_spark.config.problems import KeyPath, Problem, key_of

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# Anchors in anchors grow exponentially; no config that a person writes has as many values.
_MOST_VALUES = 100_000
_MOST_CORRECTIONS = 100
_SHOWN_LINES = 5


@dataclass
class Document:
    """A text that was read.

    value: None if the text is empty or could not be read
    lines: the line of each key and of each element of a list, from 1
    """

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unquoted: int = 0

    @property
    def is_only_unquoted(self) -> bool:
        """Tell whether the only problems are placeholders without quotes."""
        return len(self.problems) == self.unquoted


def read_document(text: str) -> Document:
    """Read YAML or JSON. Problems of the text are in the document; nothing is raised."""
    document = Document()
    text, root = _composed(_without_json_tabs(text), document)
    if root is None:
        return document
    try:
        _Walk(document, text).visit(root, ())
        if not any(problem.text.startswith(_LOOPS) for problem in document.problems):
            document.value = SafeConstructor().construct_document(root)
    except RecursionError:
        document.problems.append(Problem("is nested too deeply to be read", 1))
    except (_TooManyValuesError, yaml.YAMLError, ValueError) as exc:
        document.problems.append(_fault(exc, text))
    _name_fully(document)
    return document


def _name_fully(document: Document) -> None:
    """Give the problems that know only the last of their keys, and their line, all of them."""
    paths = {(line, path[-1]): path for path, line in document.lines.items()}
    for i, problem in enumerate(document.problems):
        if problem.line is not None and len(problem.path) == 1:
            path = paths.get((problem.line, problem.path[0]))
            if path is not None:
                rest = problem.text.removeprefix(str(path[-1]))
                document.problems[i] = Problem(f"{key_of(path)}{rest}", problem.line)


class _TooManyValuesError(Exception):
    pass


_LOOPS = "an anchor is inside itself"


def _without_json_tabs(text: str) -> str:
    """Return JSON without tabs between its tokens, where YAML allows none. No text can hold one."""
    if "\t" in text and text.lstrip().startswith("{"):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
        return text.replace("\t", " ")
    return text


def _composed(text: str, document: Document) -> tuple[str, Node | None]:
    """Return the text after corrections and its nodes; None if it is empty or not YAML."""
    for _ in range(_MOST_CORRECTIONS):
        try:
            return text, yaml.compose(text, Loader=yaml.SafeLoader)
        except RecursionError:
            document.problems.append(Problem("is nested too deeply to be read", 1))
            return text, None
        except yaml.YAMLError as exc:
            corrected = _corrected(text, exc, document)
            if corrected is None:
                if not any(problem.text.startswith(_TABS) for problem in document.problems):
                    document.problems.append(_fault(exc, text))
                return text, None
            text = corrected
    return text, None


_TABS = "has tabs"


def _corrected(text: str, exc: yaml.YAMLError, document: Document) -> str | None:
    """Return the text without the likely cause of an error, which is noted; None if there is none.

    The text keeps its lines, so that lines of later problems are right.
    """
    lines = text.split("\n")
    if "'\\t'" in str(getattr(exc, "problem", "")):
        tabbed = [n for n, line in enumerate(lines) if "\t" in _indentation(line)]
        tabbed = tabbed or [n for n, line in enumerate(lines) if "\t" in line]
        shown = ", ".join(str(n + 1) for n in tabbed[:_SHOWN_LINES])
        more = ", …" if len(tabbed) > _SHOWN_LINES else ""
        noun = "line" if len(tabbed) == 1 else "lines"
        text_ = f"{_TABS} in {noun} {shown}{more}, which YAML does not allow there; use spaces"
        document.problems.append(Problem(text_, tabbed[0] + 1))
        return "\n".join(line.replace("\t", "  ") for line in lines)
    for number in _lines_of(exc):
        corrected = quote_line(lines[number]) if number < len(lines) else None
        if corrected is not None:
            lines[number], shown = corrected
            document.problems.append(Problem(shown, number + 1))
            document.unquoted += 1
            return "\n".join(lines)
    return None


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _lines_of(exc: yaml.YAMLError) -> Iterator[int]:
    """Yield the lines that may have caused an error, the likeliest first, from 0."""
    marks = (getattr(exc, "problem_mark", None), getattr(exc, "context_mark", None))
    numbers = [mark.line for mark in marks if mark is not None]
    # The reader may notice only in the next line.
    yield from dict.fromkeys(n for number in numbers for n in (number, number - 1) if n >= 0)


def _fault(exc: Exception, text: str) -> Problem:
    """Return a fault of the text as a problem, with its line."""
    if isinstance(exc, ReaderError):
        character = exc.character if isinstance(exc.character, int) else ord(exc.character)
        line = text.count("\n", 0, exc.position) + 1
        return Problem(f"is not YAML: holds the character U+{character:04X}; remove it", line)
    mark, context = getattr(exc, "problem_mark", None), getattr(exc, "context_mark", None)
    message = f"is not YAML: {getattr(exc, 'problem', None) or str(exc) or 'cannot be parsed'}"
    if mark is None:
        return Problem(message)
    opened = {"while parsing a flow mapping": "{", "while parsing a flow sequence": "["}
    bracket = opened.get(str(getattr(exc, "context", "")))
    if bracket and context is not None:
        message += f"; is the {bracket} of line {context.line + 1} closed?"
    elif "mapping values are not allowed" in message:
        message += "; if the value contains a colon and a space, put it in quotes"
    return Problem(f"{message} (column {mark.column + 1})", mark.line + 1)


class _Walk:
    """Visits each value of a tree, notes its line and its faults, and corrects what it can."""

    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._text = text
        self._open: set[int] = set()
        self._count = 0

    def visit(self, node: Node, path: KeyPath) -> None:
        """Visit a value and all that is below it."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise _TooManyValuesError(
                f"its anchors stand for more than {_MOST_VALUES:,} values; write them out"
            )
        if node.tag not in SafeConstructor.yaml_constructors:
            self._note(node, path, f"has the tag {node.tag}, which a config cannot have; remove it")
            node.tag = _tag_of(node)
        if id(node) in self._open:
            self._note(node, (), f"{_LOOPS}, so its value has no end; write the value out")
            return
        self._open.add(id(node))
        if isinstance(node, MappingNode):
            self._visit_mapping(node, path)
        elif isinstance(node, SequenceNode):
            self._visit_sequence(node, path)
        elif isinstance(node, ScalarNode):
            self._visit_scalar(node, path)
        self._open.discard(id(node))

    def _visit_mapping(self, node: MappingNode, path: KeyPath) -> None:
        first: dict[str, int] = {}
        kept = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                self.visit(value_node, path)
                kept.append((key_node, value_node))
                continue
            if not isinstance(key_node, ScalarNode):
                self._note(key_node, path, "has a list or a mapping as a key; a key is a text")
                continue
            key = key_node.value
            if key in first:
                self._note(
                    key_node,
                    (*path, key),
                    f"is given twice, in line {first[key]} and in line {line}; keep one",
                )
            first.setdefault(key, line)
            self._document.lines.setdefault((*path, key), line)
            value = self._as_text(value_node, f"{key}: ", (*path, key))
            self.visit(value, (*path, key))
            kept.append((key_node, value))
        node.value[:] = kept

    def _visit_sequence(self, node: SequenceNode, path: KeyPath) -> None:
        for i, item in enumerate(node.value):
            self._document.lines.setdefault((*path, i), item.start_mark.line + 1)
            node.value[i] = self._as_text(item, "- ", (*path, i))
            self.visit(node.value[i], (*path, i))

    def _visit_scalar(self, node: ScalarNode, path: KeyPath) -> None:
        if node.tag == _TEXT:
            if path[:1] == ("request",) and not node.style and self._ends_at_comment(node):
                self._note(
                    node,
                    path,
                    "ends before the #, because YAML takes what follows for a comment, with "
                    "{{ }} in it; put the whole text in quotes",
                )
            return
        try:
            SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._note(
                node, path, "looks like a date or a number, but is not valid; put it in quotes"
            )
            node.tag = _TEXT

    def _ends_at_comment(self, node: Node) -> bool:
        rest = self._text[node.end_mark.index :].split("\n", 1)[0]
        return re.match(r"\s+#.*\{\{", rest) is not None

    def _as_text(self, node: Node, prefix: str, path: KeyPath) -> Node:
        """Return the text that was meant if a node is `{{ column }}` without quotes: a mapping."""
        start, end = node.start_mark, node.end_mark
        source = self._text[start.index : end.index]
        if not isinstance(node, MappingNode) or not is_placeholder(source):
            return node
        self._note(node, path, quoted(prefix, source))
        self._document.unquoted += 1
        return ScalarNode(_TEXT, source, start, end)

    def _note(self, node: Node, path: KeyPath, message: str) -> None:
        text = f"{key_of(path)}: {message}" if path else message
        self._document.problems.append(Problem(text, node.start_mark.line + 1))


def _tag_of(node: Node) -> str:
    is_mapping, is_list = isinstance(node, MappingNode), isinstance(node, SequenceNode)
    return f"tag:yaml.org,2002:{'map' if is_mapping else 'seq' if is_list else 'str'}"
