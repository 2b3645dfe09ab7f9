"""Say what is wrong with a value in the words of a config, not in those of the validating library.

Values under `request` are never shown: they are prompts. Nor are those under `source.options`, and
others that hold a credential.
"""

from __future__ import annotations

import datetime as dt
import difflib
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bedrock_spark.config.base import Section
from bedrock_spark.config.problems import KeyPath, Problem, Problems, key_of
from bedrock_spark.config.secrets import holds_secret

_LONGEST_VALUE = 60
_EXAMPLES = {
    "run_uri": "run_uri: s3://my-bucket/runs/tickets",
    "model": "model: amazon.nova-lite-v1:0",
    "model.id": "id: amazon.nova-lite-v1:0",
    "request": 'request: {prompt: "Classify: {{ column }}", max_tokens: 20}',
    "batch": "batch: {role_arn: arn:aws:iam::123456789012:role/BedrockBatch}",
    "batch.role_arn": "role_arn: arn:aws:iam::123456789012:role/BedrockBatch",
}


def problems_in_words(errors: list[ErrorDetails], root: type[Section]) -> list[Problem]:
    """Return the problems behind pydantic's errors, at most one for each key and message.

    root: the model that was validated
    """
    problems: dict[str, Problem] = {}
    paths: set[KeyPath] = set()
    for error in errors:
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Problems):
            problems |= {text: Problem(text) for text in cause.texts}
            continue
        path = _path_in(root, error["loc"])
        # A value that fits none of several types has an error for each of them.
        if path in paths and error["loc"] != path:
            continue
        paths.add(path)
        text = _described(error, path, root)
        problems[text] = Problem(text)
    return list(problems.values())


def _described(error: ErrorDetails, path: KeyPath, root: type[Section]) -> str:
    key, kind = key_of(path) or "the config", error["type"]
    if kind == "missing":
        example = f"; for example {_EXAMPLES[key]}" if key in _EXAMPLES else ""
        return f"{key}: is required and has no default{example}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; {_nearest_key(path, root)}"
    return f"{key}{_shown(path, error['input'])}: {_message(error, path, root)}"


def _message(error: ErrorDetails, path: KeyPath, root: type[Section]) -> str:
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    section = _section_of(_annotation_at(root, path))
    if section is not None and not isinstance(value, Section):
        return _shape(path, section, value)
    if value is None:
        return "has no value; write one, or leave the key out"
    if kind == "literal_error":
        return _choice(error)
    return _message_by_type(error)


def _message_by_type(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    bound = next((context[name] for name in ("gt", "ge", "lt", "le") if name in context), None)
    for prefix, message in _MESSAGES:
        if kind.startswith(prefix):
            return message(error["input"], context)
    if bound is not None:
        return error["msg"].replace("Input should", "must")
    return "is not a value that this key can have"


def _text(value: Any, _: Mapping[str, Any]) -> str:
    if isinstance(value, (list, tuple, dict)):
        return "must be one text, not a list or a mapping"
    return "must be text; put it in quotes"


def _money(value: Any, _: Mapping[str, Any]) -> str:
    is_text = isinstance(value, str)
    return "must be a number of dollars, such as 5 or 0.25" + ", without a sign" * is_text


def _whole(value: Any, _: Mapping[str, Any]) -> str:
    return "must be a whole number, such as 100"


def _length(_: Any, context: Mapping[str, Any]) -> str:
    if "max_length" in context:
        return f"must have at most {context['max_length']} elements or characters"
    least = context.get("min_length", 1)
    return "must not be empty" if least == 1 else f"must have at least {least}"


# The first that a type of error begins with counts.
_MESSAGES: tuple[tuple[str, Callable[[Any, Mapping[str, Any]], str]], ...] = (
    ("string_too", _length),
    ("too_", _length),
    ("string", _text),
    ("bool", lambda _, __: "must be true or false"),
    ("int", _whole),
    ("finite_number", lambda _, __: "must be a finite number"),
    ("float", lambda _, __: "must be a number, such as 0.5"),
    ("decimal", _money),
    ("tuple", lambda _, __: "must be a list, such as [a, b]"),
    ("dict", lambda _, __: "must be names with values, such as {name: value}"),
    ("model", lambda _, __: "must be keys with values, such as {key: value}"),
)


def _choice(error: ErrorDetails) -> str:
    expected = str(error.get("ctx", {}).get("expected", ""))
    options = expected.replace(" or ", ", ").replace("'", "").split(", ")
    value = str(error["input"])
    return f"must be {expected}{did_you_mean(value, options, before='; ')}"


def did_you_mean(name: str, known: list[str], before: str = "", after: str = "") -> str:
    """Return a hint with the name that is most like `name`, or "" if none is like it."""
    by_lower = {option.lower(): option for option in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"{before}did you mean {by_lower[close[0]]}?{after}" if close else ""


def _shape(path: KeyPath, section: type[Section], value: Any) -> str:
    """Say how to write a section that is given as something else."""
    name = path[-1] if path and isinstance(path[-1], str) else ""
    keys = list(section.model_fields)
    form = f"{{{keys[0]}: …}}"
    form = f"{name}: {form}" if name else form
    return f"must be keys with values, such as {form}. Allowed: {', '.join(keys)}"


def _shown(path: KeyPath, value: Any) -> str:
    if path[:1] == ("request",) or path[:2] == ("source", "options"):
        return ""
    if value is None or isinstance(value, (dict, list, tuple, BaseModel)):
        return ""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, dt.date):
        text = value.isoformat()
    if holds_secret(text):
        return ""
    return f" = {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _nearest_key(path: KeyPath, root: type[Section]) -> str:
    section = _section_of(_annotation_at(root, path[:-1])) or root
    allowed = list(section.model_fields)
    close = nearest_key(str(path[-1]), section)
    hint = f"did you mean {close}? " if close else ""
    return f"{hint}allowed here: {', '.join(allowed)}"


def nearest_key(key: str, section: type[Section]) -> str | None:
    """Return the key of a section that is most like `key`; None if none is."""
    close = difflib.get_close_matches(key, section.model_fields, n=1)
    return close[0] if close else None


def _path_in(root: type[Section], location: tuple[str | int, ...]) -> KeyPath:
    """Return the part of a location that is keys of the config: a union adds its types to it."""
    path: list[str | int] = []
    annotation: Any = root
    for step in location:
        section = _section_of(annotation)
        if section is not None:
            path.append(step)
            if step not in section.model_fields:
                break
            annotation = section.model_fields[str(step)].annotation
            continue
        item = _item_of(annotation)
        if item is None or step == "[key]":
            break
        path.append(step)
        annotation = item
    return tuple(path)


def section_at(root: type[Section], path: KeyPath) -> type[Section] | None:
    """Return the section that a key path leads to; None if it leads to a single value."""
    return _section_of(_annotation_at(root, path))


def _annotation_at(root: type[Section], path: KeyPath) -> Any:
    annotation: Any = root
    for step in path:
        section = _section_of(annotation)
        if section is None:
            annotation = _item_of(annotation)
        else:
            field = section.model_fields.get(str(step))
            annotation = field.annotation if field is not None else None
    return annotation


def _section_of(annotation: Any) -> type[Section] | None:
    options = _options(annotation)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Section)), None)


def _item_of(annotation: Any) -> Any:
    """Return the type of the elements of a list or the values of a mapping; None of others."""
    for option in _options(annotation):
        if get_origin(option) in (tuple, list):
            return get_args(option)[0]
        if get_origin(option) is dict:
            return get_args(option)[1]
    return None


def _options(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows, without Annotated and unions around them."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [o for member in get_args(annotation) for o in _options(member)]
    return [] if get_origin(annotation) is Literal else [annotation]
