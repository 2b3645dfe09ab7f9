"""Change keys of a config in its text: YAML or JSON, with the rest of the text as it was.

A value is replaced where it stands in the text, so comments, order and quotes of all other lines
stay. A comment inside a value that is replaced or removed is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

from bedrock_spark.config.base import copied, expanded
from bedrock_spark.config.config import Config
from bedrock_spark.config.document import read_document
from bedrock_spark.config.problems import KeyPath, key_of
from bedrock_spark.config.words import section_at
from bedrock_spark.errors import ConfigError

_STEP = "  "
# Characters that YAML takes only as an escape, and those that it takes for a line break or a mark.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class _Removed:
    """Stands for a key that is taken out."""


REMOVED = _Removed()


def edited(text: str, changes: Mapping[KeyPath, Any], base: KeyPath = ()) -> str:
    """Return the text of a config with other values at some keys.

    changes: the new value of each key; REMOVED for a key that is taken out
    base: the keys to the part that is changed, such as a stage; () for the whole config
    Raises ConfigError if a key cannot be changed in the text, such as in one with anchors.
    """
    wanted = copied(_value_of(text))
    for path, value in changes.items():
        text = _changed(text, (*base, *path), base, value)
        _set(wanted, (*base, *path), base, value)
    if _value_of(text) != wanted:
        keys = ", ".join(key_of((*base, *path)) for path in changes)
        raise ConfigError(
            f"{keys}: cannot be changed in the text of this config, which has anchors or the like "
            "there; change it in the file itself"
        )
    return text


def _value_of(text: str) -> dict[str, Any]:
    document = read_document(text)
    if document.problems or not isinstance(document.value, dict):
        raise ConfigError("the text of the config cannot be read, so nothing is changed in it")
    return document.value


def _short(path: KeyPath, base: KeyPath, value: Any) -> Any:
    """Return the keys that a value in the short form of a section stands for, as in the config."""
    section = section_at(Config, path[len(base) :]) if len(path) > len(base) else None
    return value if section is None else expanded(value, section)


def _set(values: dict[str, Any], path: KeyPath, base: KeyPath, value: Any) -> None:
    """Do to the plain values what is done to the text."""
    at: Any = values
    for depth, step in enumerate(path[:-1], start=1):
        below = at[step] if isinstance(step, int) else at.get(step)
        below = _short(path[:depth], base, below)
        if below is None:
            below = {}
        if isinstance(below, list):
            at[step] = below = list(below)
        elif isinstance(below, Mapping):
            at[step] = below = dict(below)
        at = below
    if value is REMOVED:
        at.pop(path[-1], None)
    else:
        at[path[-1]] = value


@dataclass(frozen=True)
class _Found:
    """How far a path leads. key: the node of the last key that is there; rest: the missing steps.

    column: of the keys of the parent
    """

    parent: MappingNode | None
    key: Node | None
    node: Node
    rest: KeyPath
    is_flow: bool


def _found(root: Node, path: KeyPath) -> _Found:
    parent: MappingNode | None = None
    key: Node | None = None
    node, is_flow = root, False
    for depth, step in enumerate(path):
        is_flow = is_flow or (isinstance(node, CollectionNode) and bool(node.flow_style))
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            parent, key, node = None, None, node.value[step]
            continue
        pairs = node.value if isinstance(node, MappingNode) else []
        pair = next((pair for pair in pairs if pair[0].value == step), None)
        if pair is None or not isinstance(node, MappingNode):
            return _Found(parent, key, node, path[depth:], is_flow)
        parent, (key, node) = node, pair
    return _Found(parent, key, node, (), is_flow)


def _changed(text: str, path: KeyPath, base: KeyPath, value: Any) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None  # the text was read before
    found = _found(root, path)
    if value is REMOVED:
        return text if found.rest else _without(text, found)
    if not found.rest:
        return _replaced(text, found, value)
    missing: Any = value
    for step in reversed(found.rest[1:]):
        missing = {step: missing}
    if isinstance(found.node, MappingNode):
        return _inserted(text, found, str(found.rest[0]), missing)
    # One value in the place of a section: its short form, or nothing at all.
    above = path[: len(path) - len(found.rest)]
    old = _short(above, base, yaml.SafeLoader("").construct_object(found.node, deep=True))
    old = old if isinstance(old, Mapping) else {}
    return _replaced(text, found, {**old, found.rest[0]: missing})


def _end_of(text: str, node: Node) -> int:
    """Return the index behind the last character of a value, without comments behind it."""
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, CollectionNode) and not node.flow_style:
        nodes = [part for item in node.value for part in _parts(item)]
        return _end_of(text, nodes[-1]) if nodes else start
    return start + len(text[start:end].rstrip()) if end > start else start


def _parts(item: Node | tuple[Node, Node]) -> tuple[Node, ...]:
    return item if isinstance(item, tuple) else (item,)


def _replaced(text: str, found: _Found, value: Any) -> str:
    start, end = found.node.start_mark.index, _end_of(text, found.node)
    column = 0
    if found.key is not None:
        column = found.key.start_mark.column
        after = found.key.end_mark.index
        # What is between the colon and the value: a space, or a line break before a block.
        between = text[after:start]
        if end == start or between.lstrip(": \n") == "":
            start = after + len(between) - len(between.lstrip(" :")) if ":" in between else start
            colon = text[after:start].rstrip()
            written = _written(value, column, is_flow=found.is_flow)
            gap = "" if written.startswith("\n") else " "
            return f"{text[:after]}{colon}{gap}{_before_rest(written, text[end:])}"
    return (
        f"{text[:start]}{_before_rest(_written(value, column, is_flow=found.is_flow), text[end:])}"
    )


def _before_rest(written: str, rest: str) -> str:
    """Join a value and the text behind it. A comment stays in the line where the value begins."""
    first, line_break, lines = written.partition("\n")
    comment, end, following = rest.partition("\n")
    if not line_break or not comment.strip():
        return written + rest
    return f"{first}{comment}\n{lines}{end}{following}"


def _inserted(text: str, found: _Found, key: str, value: Any) -> str:
    """Put a new key behind the last one of a mapping."""
    node = found.node
    assert isinstance(node, MappingNode)
    if found.is_flow or node.flow_style:
        is_json = text.lstrip().startswith("{")
        written = f"{json.dumps(key) if is_json else key}: {_written(value, 0, is_flow=True)}"
        if not node.value:
            place = node.start_mark.index + 1
            return f"{text[:place]}{written}{text[place:]}"
        place = _end_of(text, node.value[-1][1])
        return f"{text[:place]}, {written}{text[place:]}"
    column = node.value[0][0].start_mark.column if node.value else 0
    end = _end_of(text, node)
    line_end = text.find("\n", end)
    place = len(text) if line_end < 0 else line_end
    written = _written(value, column, is_flow=False)
    gap = "" if written.startswith("\n") else " "
    return f"{text[:place]}\n{' ' * column}{key}:{gap}{written}{text[place:]}"


def _without(text: str, found: _Found) -> str:
    """Take a key and its value out."""
    if found.key is None or found.parent is None:
        raise ConfigError("an element of a list cannot be taken out of the text of a config")
    pairs = found.parent.value
    number = next(n for n, pair in enumerate(pairs) if pair[0] is found.key)
    start, end = found.key.start_mark.index, _end_of(text, found.node)
    if found.parent.flow_style:
        if number + 1 < len(pairs):
            end = pairs[number + 1][0].start_mark.index
        elif number:
            start = _end_of(text, pairs[number - 1][1])
        return text[:start] + text[end:]
    if len(pairs) == 1:
        return f"{text[:start]}{{}}{text[end:]}"
    line_end = text.find("\n", end)
    stop = len(text) if line_end < 0 else line_end + 1
    begin = text.rfind("\n", 0, start) + 1
    if text[begin:start].strip():
        # The first key of a list's element stands behind its dash.
        following = pairs[number + 1][0].start_mark.index
        return text[:start] + text[following:]
    return text[:begin] + text[stop:]


def _written(value: Any, column: int, *, is_flow: bool) -> str:
    """Return a value as YAML. column: of the key whose value it is"""
    indent = " " * column + _STEP
    if not is_flow and isinstance(value, str) and "\n" in value and _fits_block(value):
        breaks = len(value) - len(value.rstrip("\n"))
        style = {0: "|-", 1: "|"}.get(breaks, "|+")
        body = value if breaks < 2 else value[:-1]
        lines = body.rstrip("\n").split("\n") if breaks < 2 else body.split("\n")
        return "\n".join([style, *(f"{indent}{line}" if line else "" for line in lines)])
    if not is_flow and isinstance(value, (dict, list)) and value:
        dumped = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
        return "".join(f"\n{indent}{line}" if line else "\n" for line in dumped[:-1].split("\n"))
    written = json.dumps(value, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _fits_block(text: str) -> bool:
    """Tell whether a text can be written as a block: readable, and no line says otherwise."""
    lines = text.split("\n")
    return (
        bool(lines[0].strip())
        and not lines[0].startswith(" ")
        and all(line.isprintable() for line in lines)
    )
