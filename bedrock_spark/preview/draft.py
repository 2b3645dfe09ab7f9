"""A config whose prompt, model or parsing is being changed. Its file is never written."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import yaml

from bedrock_spark.check import check_config
from bedrock_spark.config import Config
from bedrock_spark.config.base import expanded
from bedrock_spark.config.document import read_document
from bedrock_spark.config.edit import REMOVED, edited
from bedrock_spark.config.load import open_config_file
from bedrock_spark.config.model import ModelConfig
from bedrock_spark.config.problems import KeyPath
from bedrock_spark.config.request import RequestConfig
from bedrock_spark.config.stages import STAGES, split_reference, split_stages
from bedrock_spark.config_file import read_file
from bedrock_spark.errors import ConfigError
from bedrock_spark.s3_spelling import as_s3

_TEXTS = ("prompt", "system")


@dataclass(frozen=True)
class Fields:
    """The parts of a config that are changed, as texts.

    prompt, system: of `request`; "" if it has none
    parameters: the other keys of `request`, as YAML
    model: `model.id`; parse: `results.parse`, columns or YAML, "" if there is none
    """

    prompt: str
    system: str
    parameters: str
    model: str
    parse: str


@dataclass(frozen=True)
class Draft:
    """A config as a text that is changed in this process only.

    name: of the file, with the stage if one is named
    original: the text of the file; text: as it is now
    """

    name: str
    original: str
    text: str

    @property
    def file(self) -> str:
        """Return the name of the file, without the stage."""
        return split_reference(as_s3(self.name))[0]

    @cached_property
    def values(self) -> dict[str, Any]:
        """Return the plain values of the config, or of the stage that is named."""
        document = read_document(self.text)
        values = document.value if isinstance(document.value, dict) else {}
        stage = split_reference(as_s3(self.name))[1]
        if stage is None:
            return values
        stages, _ = split_stages(values, document.lines, {})
        return next((each.values for each in stages if each.name == stage), {})

    @property
    def _base(self) -> KeyPath:
        """Return the keys to the stage; () for a config without stages."""
        stage = split_reference(as_s3(self.name))[1]
        if stage is None:
            return ()
        listed = read_document(self.text).value[STAGES]
        return STAGES, next(n for n, each in enumerate(listed) if each.get("name") == stage)

    @cached_property
    def fields(self) -> Fields:
        """Return the parts that can be changed."""
        request = _request_of(self.values)
        model = expanded(self.values.get("model"), ModelConfig)
        results = self.values.get("results")
        parse = results.get("parse") if isinstance(results, Mapping) else None
        return Fields(
            prompt=str(request.get("prompt") or ""),
            system=str(request.get("system") or ""),
            parameters=_as_yaml({k: v for k, v in request.items() if k not in _TEXTS}),
            model=str(model.get("id") or "") if isinstance(model, Mapping) else "",
            parse=parse if isinstance(parse, str) else _as_yaml(parse),
        )

    def checked(self) -> Config:
        """Return the config. Raises ConfigError that names every problem, as `check` does."""
        return check_config(open_config_file(self.name, lambda _: self.text.encode()))

    def with_fields(self, fields: Fields) -> Draft:
        """Return the config with other texts in its fields. It may not be valid.

        Raises ConfigError for a text that is no YAML, and for a key that cannot be changed.
        """
        changes = dict(_changes(self.values, self.fields, fields))
        if not changes:
            return self
        made = replace(self, text=edited(self.text, changes, self._base))
        for name in _TEXTS:
            # A key of the common part of a config with stages is still there.
            if getattr(made.fields, name) != getattr(fields, name):
                raise ConfigError(f"request.{name}: is set for all stages; change it in the file")
        return made

    def diff(self) -> list[str]:
        """Return the lines of a unified diff from the file to the text; none if they are equal."""
        lines = self.original.splitlines(), self.text.splitlines()
        return [*difflib.unified_diff(*lines, self.file, f"{self.file} (changed)", lineterm="")]


def read_draft(name: str) -> Draft:
    """Read a config to change it. name: a file here or in S3, with a stage if it has some.

    Raises ConfigError, also for a config that is not valid: its rows cannot be read.
    """
    text = _text_of(split_reference(as_s3(name))[0])
    draft = Draft(name, text, text)
    draft.checked()
    return draft


def stage_names(name: str) -> tuple[str, ...]:
    """Return the stages of a config; () if it has none, or if `name` names one of them.

    Raises ConfigError for a file that cannot be read.
    """
    file, stage = split_reference(as_s3(name))
    if stage is not None:
        return ()
    value = read_document(_text_of(file)).value
    listed = value.get(STAGES) if isinstance(value, Mapping) else None
    stages = listed if isinstance(listed, list) else []
    names = (each.get("name") for each in stages if isinstance(each, Mapping))
    return tuple(each for each in names if isinstance(each, str))


def _text_of(file: str) -> str:
    try:
        return read_file(file).decode()
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        text = f"{file}: is not UTF-8 (byte {exc.start}); save it in this encoding"
        raise ConfigError(text) from exc


def _request_of(values: Mapping[str, Any]) -> dict[str, Any]:
    request = expanded(values.get("request"), RequestConfig)
    return dict(request) if isinstance(request, Mapping) else {}


def _as_yaml(value: Any) -> str:
    if not value:
        return ""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _changes(values: Mapping[str, Any], old: Fields, new: Fields) -> list[tuple[KeyPath, Any]]:
    changes: list[tuple[KeyPath, Any]] = [
        (("request", name), getattr(new, name) or REMOVED)
        for name in _TEXTS
        if getattr(new, name) != getattr(old, name)
    ]
    if new.parameters != old.parameters:
        changes += _changed_parameters(_request_of(values), _yaml_of("parameters", new.parameters))
    if new.model != old.model:
        changes.append((("model", "id"), new.model.strip()))
    if new.parse != old.parse:
        value = _yaml_of("results.parse", new.parse)
        is_columns = isinstance(value, str)
        changes.append(
            (("results", "parse"), new.parse.strip() if is_columns else value or REMOVED)
        )
    return changes


def _changed_parameters(request: Mapping[str, Any], wanted: Any) -> list[tuple[KeyPath, Any]]:
    wanted = {} if wanted is None else wanted
    if not isinstance(wanted, dict):
        raise ConfigError("parameters: must be keys with values, such as `max_tokens: 256`")
    own = next((name for name in _TEXTS if name in wanted), None)
    if own is not None:
        raise ConfigError(f"parameters: {own} has a field of its own; leave it out here")
    before = {name: value for name, value in request.items() if name not in _TEXTS}
    changed = [(name, value) for name, value in wanted.items() if before.get(name) != value]
    gone = [(name, REMOVED) for name in before if name not in wanted]
    return [(("request", str(name)), value) for name, value in (*changed, *gone)]


def _yaml_of(name: str, text: str) -> Any:
    document = read_document(text)
    if document.problems:
        problem = document.problems[0]
        line = "" if problem.line is None else f" (line {problem.line})"
        raise ConfigError(f"{name}{line}: {problem.text}")
    return document.value
