"""Read a config and report all its problems at once, in the words of the config.

A message names the file, the key, the value and what is allowed. Values under `request` are never
shown: they are prompts. Nor are those under `source.options`, and others that hold a credential.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bedrock_spark.config.config import Config
from bedrock_spark.config.secrets import holds_secret
from bedrock_spark.errors import ConfigError

_LONGEST_VALUE = 60


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file, apply `key=value` overrides and validate the result.

    Raises ConfigError that names every problem.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file}: is not UTF-8 (byte {exc.start})") from exc
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"{file}: is not YAML: {_yaml_place(exc)}") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: must be a mapping of keys to values")
    return parse_config(with_overrides(values, overrides), name=str(file))


def parse_config(values: Mapping[str, Any], name: str = "config") -> Config:
    """Validate plain values into a Config. `name` is their source, for messages.

    Raises ConfigError that names every problem.
    """
    try:
        return Config.model_validate(_join_surrogates(dict(values), name))
    except ValidationError as exc:
        problems = [_describe(error) for error in exc.errors(include_url=False)]
        lines = "\n".join(f"  {problem}" for problem in problems)
        # `from None`: pydantic's own text shows the values, and a value may be a prompt.
        raise ConfigError(f"{name}: {_count(len(problems))}\n{lines}") from None


def _join_surrogates(value: Any, where: str) -> Any:
    """Join the surrogate pairs that PyYAML leaves from JSON escapes such as "\\ud83d\\ude00"."""
    if isinstance(value, str) and not value.isascii():
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: holds half a character (a lone surrogate)") from None
    if isinstance(value, dict):
        return {k: _join_surrogates(item, f"{where}: {k}") for k, item in value.items()}
    if isinstance(value, list):
        return [_join_surrogates(item, where) for item in value]
    return value


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=value` overrides in order, each value read as YAML. The input is not changed.

    Raises ConfigError for an override that is not valid.
    """
    result = _copy(values)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {key}: must be key=value, such as shards.max_records=500")
        _set(result, key.strip(), _override_value(key, text))
    return result


def _override_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"--set {key}: the value is not YAML: {_yaml_place(exc)}") from exc


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        section = values.setdefault(parent, {})
        if section is None:
            section = values[parent] = {}
        if not isinstance(section, dict):
            raise ConfigError(f"--set {key}: {parent} is a single value and has no keys below it")
        values = section
    values[last] = value


def _yaml_place(exc: yaml.YAMLError | ValueError) -> str:
    if isinstance(exc, ValueError):
        return "a value looks like a date or a number but is not valid; put it in quotes"
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "cannot be parsed"
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem


def _count(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems} problems"


def _describe(error: ErrorDetails) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location) or "the config"
    kind = error["type"]
    if kind == "missing":
        return f"{key}: is required and has no default"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; {_nearest(location)}"
    return f"{key}{_shown(location, error['input'])}: {_message(error)}"


def _message(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "must be")


def _shown(location: list[str], value: Any) -> str:
    if "request" in location[:1] or location[:2] == ["source", "options"]:
        return ""
    if isinstance(value, (dict, list, BaseModel)):
        return ""
    text = repr(value)
    if holds_secret(text):
        return ""
    return f" = {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _nearest(location: list[str]) -> str:
    allowed = _keys_at(location[:-1])
    close = difflib.get_close_matches(location[-1], allowed, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed here: {', '.join(allowed)}"


def _keys_at(location: list[str]) -> list[str]:
    """Return the keys that a section of the config has."""
    model: Any = Config
    for key in location:
        annotation = model.model_fields[key].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)


AnyConfig = Config | Mapping[str, Any] | str | Path


def as_config(config: AnyConfig) -> Config:
    """Return a Config from a Config, from plain values, or from a YAML file."""
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return parse_config(config)
    return load_config(config)
