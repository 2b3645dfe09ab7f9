"""The parameters that a model's requests take: those that its family accepts, and no others.

They are found by building a request with each, so a new family needs no list here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import Family
from bedrock_spark.families.ceilings import known_limit
from bedrock_spark.playground.json_text import read_json

Kind = Literal["text", "long", "number", "whole", "choice", "lines", "json"]
# Enough for an answer on a page, and below the limit of every text model.
_MAX_TOKENS = 1_024


@dataclass(frozen=True)
class Parameter:
    """One parameter of `request` in a config, and the field that a page has for it.

    name: its key in the config; label, help: for people
    kind: text: one line; long: several lines; number; whole: a whole number; choice: one of
        `choices`; lines: several values, one a line; json: a JSON value
    default: what the field begins with; None: the parameter is not sent
    least, most: of a number; None without a limit that is known
    """

    name: str
    label: str
    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    default: str | None = None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class _Known:
    """A parameter, and a value of it that every family that has it accepts."""

    parameter: Parameter
    sample: Any


_TOOL = {"name": "tool", "input_schema": {"type": "object", "properties": {}}}
_KNOWN = (
    _Known(Parameter("system", "System prompt", "long", "What the model is told first"), "x"),
    _Known(
        Parameter(
            *("max_tokens", "Most tokens of the answer", "whole"),
            *("The answer is cut off there; a token is about four letters", ()),
            *(str(_MAX_TOKENS), 1),
        ),
        5,
    ),
    _Known(
        Parameter("temperature", "Temperature", "number", "0: nearly the same answer each time"),
        0.5,
    ),
    _Known(
        Parameter("top_p", "Top p", "number", "The share of likely words", least=0, most=1), 0.5
    ),
    _Known(Parameter("top_k", "Top k", "whole", "The number of likely words", least=0), 5),
    _Known(Parameter("stop", "Stop at", "lines", "One text a line; the answer ends there"), ("x",)),
    _Known(
        Parameter(
            *("thinking", "Thinking", "choice", "How long the model thinks first"),
            ("off", "low", "medium", "high"),
        ),
        None,
    ),
    _Known(
        Parameter(
            *("tools", "Tools", "json"),
            'A list: [{"name": …, "description": …, "input_schema": {…}}]',
        ),
        (_TOOL,),
    ),
    _Known(Parameter("width", "Width", "whole", "In pixels", least=1), 512),
    _Known(Parameter("height", "Height", "whole", "In pixels", least=1), 512),
    _Known(
        Parameter(
            *("aspect_ratio", "Aspect ratio", "choice", "Width to height"),
            ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"),
        ),
        "1:1",
    ),
    _Known(Parameter("seed", "Seed", "whole", "The same seed makes the same again", least=0), 5),
    _Known(Parameter("negative_prompt", "Not in the picture", "text", "What to leave out"), "x"),
    _Known(Parameter("dimensions", "Dimensions", "whole", "The length of a vector", least=1), 256),
    _Known(
        Parameter(
            *("input_type", "Use of the vector", "choice", "What the texts are"),
            ("search_document", "search_query", "classification", "clustering"),
        ),
        "clustering",
    ),
    _Known(
        Parameter(
            *("embedding_types", "Type of the numbers", "choice", "Bytes need less room"),
            ("float", "int8", "uint8", "binary", "ubinary"),
        ),
        ("int8",),
    ),
)


def parameters_of(family: Family, bare_model_id: str) -> list[Parameter]:
    """Return the parameters that a model's requests take, in the order of a form."""
    found = []
    for known in _KNOWN:
        parameter = known.parameter
        if parameter.choices and parameter.name == "thinking":
            taken = [c for c in parameter.choices if _takes(family, bare_model_id, "thinking", c)]
            if taken:
                found.append(_with(parameter, choices=tuple(taken)))
        elif _takes(family, bare_model_id, parameter.name, known.sample):
            found.append(_limited(parameter, family, bare_model_id))
    return found


def _takes(family: Family, bare_model_id: str, name: str, value: Any) -> bool:
    is_text = family.read_chunk is not None
    options = {"prompt": "x", **({"max_tokens": 5} if is_text else {}), name: value}
    try:
        request = RequestConfig.model_validate(options)
        family.build(request, bare_model_id)
    except (ConfigError, ValidationError):
        return False
    return True


def _limited(parameter: Parameter, family: Family, bare_model_id: str) -> Parameter:
    """Return a parameter with the limits of the family and of the model."""
    if parameter.name == "temperature":
        return _with(parameter, least=0, most=family.max_temperature or 2)
    if parameter.name == "max_tokens":
        most = known_limit(bare_model_id)
        return _with(parameter, most=most, default=str(min(_MAX_TOKENS, most or _MAX_TOKENS)))
    return parameter


def _with(parameter: Parameter, **changes: Any) -> Parameter:
    return Parameter(**{**vars(parameter), **changes})


def option_of(parameter: Parameter, text: str) -> Any:
    """Return the value of a field as `request` in a config takes it; None if the field is empty.

    Raises ConfigError that names the field.
    """
    text = text.replace("\r\n", "\n")
    if not text.strip():
        return None
    if parameter.kind in ("text", "long", "choice"):
        return (text,) if parameter.name == "embedding_types" else text
    if parameter.kind == "lines":
        return tuple(line for line in text.split("\n") if line)
    if parameter.kind == "json":
        return read_json(text, parameter.label)
    try:
        value = int(text) if parameter.kind == "whole" else float(text)
        is_number = math.isfinite(value)
    except (ValueError, OverflowError):
        is_number = False
    if not is_number:
        what = "a whole number" if parameter.kind == "whole" else "a number"
        raise ConfigError(f"{parameter.label}: is not {what}")
    return value
