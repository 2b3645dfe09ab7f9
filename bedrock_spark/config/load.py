"""Read a config and report all its problems at once, in the words of the config.

A message names the file, the line, the key and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bedrock_spark.config.answer_schema import with_schema_file
from bedrock_spark.config.base import Section, copied, expanded
from bedrock_spark.config.config import Config
from bedrock_spark.config.document import Document, read_document
from bedrock_spark.config.draft import Draft, draft_of
from bedrock_spark.config.misfits import misfits
from bedrock_spark.config.problems import Origin, Problem, key_of, path_of
from bedrock_spark.config.stages import STAGES, split_overrides, split_reference, split_stages
from bedrock_spark.config.words import problems_in_words, section_at
from bedrock_spark.errors import ConfigError
from bedrock_spark.s3_spelling import as_s3

# Returns the bytes of a file. Raises OSError.
Read = Callable[[str], bytes]
# What pathlib leaves of an S3 URI.
_FLATTENED = re.compile(r"(s3[an]?):/(?!/)")


@dataclass(frozen=True)
class ConfigFile:
    """A config file that was read: all that look at it see one text.

    stage: the one of its stages that is meant; None for none
    read: reads the file of `request.schema`, once
    """

    document: Document
    origin: Origin
    stage: str | None
    read: Read

    @property
    def whole(self) -> ConfigFile:
        """Return the file without the stage that is meant."""
        return replace(self, stage=None)


AnyConfig = Config | Mapping[str, Any] | str | Path | ConfigFile


@dataclass(frozen=True)
class Reading:
    """A config that was read, or what is usable of it.

    config: None if there are problems
    draft: None if the text could not be read
    """

    origin: Origin
    problems: list[Problem]
    draft: Draft | None = None
    config: Config | None = None

    def checked(self) -> Config:
        """Return the config. Raises ConfigError that names every problem."""
        if self.config is None or self.problems:
            raise self.origin.error(self.problems) from None
        return self.config


@dataclass(frozen=True)
class StagesReading:
    """A config with stages that was read.

    problems: of the list of stages itself, and of the text
    stages: by name, in order; sources: the stage that each one reads, or None
    """

    origin: Origin
    problems: list[Problem]
    stages: dict[str, Reading]
    sources: dict[str, str | None]
    run_uri: str


def read_local(name: str) -> bytes:
    """Return the bytes of a local file. Raises OSError, also for an object of S3."""
    if name.startswith("s3://"):
        raise OSError("is in S3; load_config, check_config and Pipeline.open read that")
    return Path(name).read_bytes()


def read_config(
    config: AnyConfig,
    overrides: Iterable[str] = (),
    name: str = "config",
    read: Read = read_local,
) -> Reading:
    """Read a config with all its problems: a YAML or JSON file, plain values, or a Config.

    config: a file may name one of its stages, as in `contracts.yaml#extract`
    overrides: `key=value`, or a JSON object of such keys and values, applied in order
    name: the source of plain values, for messages
    read: reads the file, and the one of `request.schema`
    Raises ConfigError if there is no text to read. A config with stages is a problem if none is
    named.
    """
    if isinstance(config, Config):
        return Reading(config.origin, [], Draft(config), config)
    opened = open_config_file(config, read, name)
    document, origin, stage, read = opened.document, opened.origin, opened.stage, opened.read
    if not _has_stages(document):
        if stage is not None:
            text = f"has no stages, so it has no stage {stage}"
            return Reading(origin, [*document.problems, Problem(text)])
        return _read(document.value, document, origin, overrides, read)
    found = _read_stages(document, origin, overrides, read)
    if stage in found.stages:
        reading = found.stages[stage]
        return replace(reading, problems=[*found.problems, *reading.problems])
    names = ", ".join(found.stages) or "none"
    text = f"stages: name one by --stage, because this is about one run: {names}"
    text = text if stage is None else f"stages: has no stage {stage or repr(stage)}; it has {names}"
    return Reading(origin, [*found.problems, Problem(text)])


def read_stages(
    config: AnyConfig,
    overrides: Iterable[str] = (),
    name: str = "config",
    read: Read = read_local,
) -> StagesReading | None:
    """Read a config with stages, with all its problems; None if it has none, or one is named.

    overrides: `stages.NAME.key=value` concerns one stage, `key=value` the common part
    """
    if isinstance(config, Config):
        return None
    opened = open_config_file(config, read, name)
    if opened.stage is not None or not _has_stages(opened.document):
        return None
    return _read_stages(opened.document, opened.origin, overrides, opened.read)


def open_config_file(
    config: Mapping[str, Any] | str | Path | ConfigFile, read: Read, name: str = "config"
) -> ConfigFile:
    """Read a config file, or take plain values for one. One that was read is returned as it is.

    config: the file may name one of its stages, as in `contracts.yaml#extract`
    read: reads the file, and the one of `request.schema`; name: of plain values, for messages
    Raises ConfigError if there is no text to read.
    """
    if isinstance(config, ConfigFile):
        return config
    read = cache(read)
    if isinstance(config, Mapping):
        return ConfigFile(Document(dict(config)), Origin(name), None, read)
    file, stage = split_reference(as_s3(_FLATTENED.sub(r"\1://", str(config))))
    document = read_document(_text_of(file, read))
    return ConfigFile(document, Origin(file, document.lines, is_file=True), stage, read)


def _has_stages(document: Document) -> bool:
    return isinstance(document.value, dict) and STAGES in document.value


def _read_stages(
    document: Document, origin: Origin, overrides: Iterable[str], read: Read
) -> StagesReading:
    common, of_stages = split_overrides(overrides)
    values, problems, overridden = _overridden(document.value, common)
    origin = replace(origin, overrides=overridden)
    stages, faults = split_stages(values, document.lines, of_stages)
    readings = {}
    for stage in stages:
        mine = Document(stage.values, dict(stage.lines))
        place = replace(origin, lines=stage.lines, stage=stage.name)
        readings[stage.name] = _read(stage.values, mine, place, stage.overrides, read)
    return StagesReading(
        origin,
        [*document.problems, *problems, *faults],
        readings,
        {stage.name: stage.source for stage in stages},
        str(values.get("run_uri")),
    )


def parse_config(values: Mapping[str, Any], name: str = "config") -> Config:
    """Validate plain values into a Config. `name` is their source, for messages.

    Raises ConfigError that names every problem.
    """
    return read_config(values, name=name).checked()


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply overrides in order. The input is not changed.

    overrides: `a.b=value`, the value read as YAML, or a JSON object of such keys and values
    Raises ConfigError for an override that is not valid.
    """
    result, problems, _ = _overridden(values, overrides)
    if problems:
        raise ConfigError("\n".join(problem.text for problem in problems))
    return result


def _text_of(file: str, read: Read) -> str:
    try:
        return read(file).decode()
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"{file}: is not UTF-8 (byte {exc.start}); save it in this encoding"
        ) from exc


def _read(
    value: Any, document: Document, origin: Origin, overrides: Iterable[str], read: Read
) -> Reading:
    problems = list(document.problems)
    if not isinstance(value, dict):
        if not problems:
            problems.append(Problem(_not_keys(value)))
        return Reading(origin, problems)
    values, more, overridden = _overridden(value, overrides)
    values, halves = _with_surrogates_joined(values)
    folder = origin.name.rpartition("/")[0] if origin.is_file else ""
    values, fault = with_schema_file(values, folder, read)
    problems += more
    problems += [Problem(f"request.schema: {fault}")] if fault is not None else []
    problems += (Problem(f"{key}: holds half a character (a lone surrogate)") for key in halves)
    origin = replace(origin, overrides=origin.overrides | overridden)
    try:
        config = Config.model_validate(values).from_origin(origin)
    except ValidationError as exc:
        # The text of pydantic shows values, and a value may be a prompt. So it is not shown.
        found = problems_in_words(exc.errors(include_url=False), Config)
        draft = draft_of(values)
        texts = {problem.text for problem in found}
        found += (Problem(t) for t in misfits(draft.config, draft.broken) if t not in texts)
        return Reading(origin, problems + found, draft)
    return Reading(origin, problems, Draft(config), config)


def _not_keys(value: Any) -> str:
    keys = "run_uri, source, model, request and batch"
    if value is None:
        return f"is empty: a config has the keys {keys}, such as `run_uri: s3://my-bucket/runs/one`"
    noun = "a list" if isinstance(value, list) else "one value"
    return (
        f"is {noun}, and a config is keys with values ({keys}, …): write `run_uri: …`, not "
        "`- run_uri: …`"
    )


def _with_surrogates_joined(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Join the surrogate pairs that PyYAML leaves from JSON escapes such as "\\ud83d\\ude00".

    Returns the values, and the keys of those that hold half a pair.
    """
    halves: list[str] = []

    def joined(value: Any, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, str) and not value.isascii():
            try:
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                halves.append(key_of(path))
                return ""
        if isinstance(value, dict):
            return {key: joined(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [joined(item, (*path, i)) for i, item in enumerate(value)]
        return value

    return joined(values, ()), halves


def _overridden(
    values: Mapping[str, Any], overrides: Iterable[str]
) -> tuple[dict[str, Any], list[Problem], frozenset[tuple[str | int, ...]]]:
    """Return the values with the overrides, the problems of these, and the keys that they set."""
    result, problems = copied(values), []
    paths: set[tuple[str | int, ...]] = set()
    for override in overrides:
        if override.lstrip().startswith("{"):
            problems += [Problem(text) for text in _set_all(result, override, paths)]
            continue
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            text = f"--set {key}: must be key=value, such as shards.max_records=500"
            problems.append(Problem(text))
            continue
        document = read_document(text)
        # In a shell, the quotes of a placeholder are easily lost.
        faults = [] if document.is_only_unquoted else document.problems[:1]
        fault = faults[0].text if faults else _set(result, key, document.value)
        if fault is not None:
            problems.append(Problem(f"--set {key}: {'the value ' * bool(faults)}{fault}"))
        else:
            paths.add(path_of(key))
    return result, problems, frozenset(paths)


def _set_all(values: dict[str, Any], text: str, paths: set[tuple[str | int, ...]]) -> list[str]:
    """Set the values of a JSON object, and note their keys in `paths`; return what is wrong.

    A map of arguments, such as that of AWS Glue, has every option once: so one holds all overrides.
    """
    document = read_document(text)
    if document.problems or not isinstance(document.value, dict):
        said = f": {document.problems[0].text}" if document.problems else ""
        return [f"--set {{…}}: must be a JSON object of keys and values{said}"]
    faults = []
    for key, value in document.value.items():
        fault = _set(values, key, value)
        if fault is not None:
            faults.append(f"--set {key}: {fault}")
        paths.add(path_of(key))
    return faults


def _set(values: dict[str, Any], key: str, value: Any) -> str | None:
    """Set a value in nested dicts. Return what is wrong if a key has no keys below it."""
    *parents, last = key.split(".")
    section: type[Section] | None = Config
    for i, parent in enumerate(parents):
        section = section_at(Config, tuple(parents[: i + 1])) if section else None
        below = values.setdefault(parent, {})
        if below is None:
            below = values[parent] = {}
        if section is not None and not isinstance(below, dict):
            below = values[parent] = expanded(below, section)
        if not isinstance(below, dict):
            return f"{parent} is a single value and has no keys below it"
        values = below
    values[last] = value
    return None
