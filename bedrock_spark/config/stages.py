"""Stages: several runs in one config, each on the rows of an earlier one.

The config of a stage is the common part of the file with the stage's own keys over it. This module
works on plain values and on the lines of the file. What it returns for a stage is read as any
config.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config.base import copied, expanded
from bedrock_spark.config.config import Config
from bedrock_spark.config.document import read_document
from bedrock_spark.config.problems import KeyPath, Problem
from bedrock_spark.config.source import SourceConfig
from bedrock_spark.config.words import section_at

STAGES = "stages"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
# A file and a stage of it: contracts.yaml#extract. What follows the end of a config's name is taken
# for a stage, too, if it cannot be one: the message then has the names.
_REFERENCE = re.compile(rf"(.+)#({NAME.pattern})|(.+\.(?:ya?ml|json))#([^#/]*)")
_PLACES = ("path", "table", "sql", "run")
# Keys of a stage that are those of its source.
_OF_THE_SOURCE = ("outcome", "where")
_COMMON = {
    "run_uri": "the run folder of a stage is its name below the common run_uri",
    STAGES: "a stage has no stages",
    "budget": "one budget counts for all stages together",
}
_NOT_OF_THE_RUN = ("name", "from", *_COMMON)
# Keys of a section of which one counts: one of a stage replaces all of the common part.
_ALTERNATIVES = {"request": ("prompt", "body", "body_column"), "results": ("path", "table")}
# What a config says of its own model: those of the common part are of the common model.
_OF_THE_MODEL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prices", ("batch", "fallback", "flex", "image", "model_unit_hour")),
    ("canary", ("model_id",)),
)
_BAD_NAME = "must be 1 to 40 small letters, digits, - or _, beginning with a letter"


@dataclass(frozen=True)
class StageValues:
    """A stage as plain values.

    source: the stage whose rows it reads; None for the source of the common part
    values: of its whole config; overrides: of the command line, which concern it alone
    lines: of the file, by the keys of its config
    """

    name: str
    source: str | None
    values: dict[str, Any]
    overrides: tuple[str, ...]
    lines: Mapping[KeyPath, int]


def split_reference(name: str) -> tuple[str, str | None]:
    """Return the file and the stage that `contracts.yaml#extract` names; None for no stage."""
    match = _REFERENCE.fullmatch(name)
    return (match[1] or match[3], match[2] or match[4] or "") if match else (name, None)


def split_overrides(overrides: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the overrides of the common part, and those of each stage: `stages.NAME.key=value`.

    An override with several keys is split; the order is kept.
    """
    common: list[str] = []
    of_stages: dict[str, list[str]] = {}
    for override in _single(overrides):
        key, equals, value = override.partition("=")
        root, _, rest = key.strip().partition(".")
        stage, _, own = rest.partition(".")
        if root == STAGES and own:
            own = f"source.{own}" if own in _OF_THE_SOURCE else own
            of_stages.setdefault(stage, []).append(f"{own}{equals}{value}")
        else:
            common.append(override)
    return common, of_stages


def _single(overrides: Iterable[str]) -> Iterator[str]:
    """Yield overrides; those of a JSON object that name stages are written out one by one."""
    for override in overrides:
        document = read_document(override) if override.lstrip().startswith("{") else None
        value = document.value if document is not None else None
        if not isinstance(value, dict) or not any(str(k).startswith(f"{STAGES}.") for k in value):
            yield override
            continue
        yield from (f"{key}={json.dumps(item, ensure_ascii=False)}" for key, item in value.items())


def split_stages(
    values: Mapping[str, Any],
    lines: Mapping[KeyPath, int],
    overrides: Mapping[str, list[str]],
) -> tuple[list[StageValues], list[Problem]]:
    """Return the stages of a config in order, and what is wrong with how they are named.

    A stage that cannot be told from the others is left out.
    """
    problems: list[Problem] = []
    stages: list[StageValues] = []
    listed = values.get(STAGES)
    if not isinstance(listed, list) or not listed:
        text = f"{STAGES}: must be a list of stages, each with a name: `- name: classify`"
        return [], [Problem(text)]
    common = {name: value for name, value in values.items() if name != STAGES}
    for i, own in enumerate(listed):
        key = f"{STAGES}[{i}]"
        if not isinstance(own, dict):
            problems.append(Problem(f"{key}: must be keys with values, such as `name: classify`"))
            continue
        earlier = [stage.name for stage in stages]
        faults = list(_faults(own, key, earlier))
        problems += faults
        name = own.get("name")
        if isinstance(name, str) and NAME.fullmatch(name) and name not in earlier:
            source = earlier[-1] if earlier else None
            source = own["from"] if own.get("from") in earlier else source
            stages.append(_stage(name, source, common, own, i, lines, overrides.get(name, ())))
    known = {stage.name for stage in stages}
    problems += [
        Problem(f"--set {STAGES}.{name}.{each[0].partition('=')[0]}: there is no stage {name}")
        for name, each in overrides.items()
        if name not in known
    ]
    problems += [
        Problem(f"--set {STAGES}.{name}.{key}: {_COMMON[key]}; leave it out here")
        for name, each in overrides.items()
        for key in (override.partition("=")[0].partition(".")[0] for override in each)
        if key in _COMMON
    ]
    return stages, problems


def _faults(own: Mapping[str, Any], key: str, earlier: list[str]) -> Iterator[Problem]:
    name = own.get("name")
    if name is None:
        yield Problem(f"{key}.name: is required and has no default; for example name: classify")
    elif not isinstance(name, str) or not NAME.fullmatch(name):
        yield Problem(f"{key}.name = {name!r}: {_BAD_NAME}")
    elif name in earlier:
        yield Problem(f"{key}.name = {name!r}: another stage has this name")
    for word, why in _COMMON.items():
        if word in own:
            yield Problem(f"{key}.{word}: {why}; leave it out here")
    named = own.get("from")
    if named is not None and named not in earlier:
        known = ", ".join(earlier) if earlier else "none, because this is the first one"
        yield Problem(f"{key}.from = {named!r}: must be an earlier stage: {known}")
    source = own.get("source")
    if not isinstance(source, dict):
        if source is not None and earlier:
            yield Problem(f"{key}.source: names a source, but the rows are those of a stage")
        source = {}
    places = [word for word in _PLACES if source.get(word) is not None]
    if places and earlier:
        yield Problem(
            f"{key}.source.{places[0]}: the rows are those of the stage before, or of `from: NAME`"
        )
    for word in _OF_THE_SOURCE:
        if word in own and word in source:
            yield Problem(f"{key}.{word}: is given in {key}.source, too; keep one")
    if not earlier and "outcome" in own:
        yield Problem(f"{key}.outcome: the first stage reads no rows of a stage; leave it out")


def _stage(
    name: str,
    source: str | None,
    common: Mapping[str, Any],
    own: Mapping[str, Any],
    index: int,
    lines: Mapping[KeyPath, int],
    overrides: Iterable[str],
) -> StageValues:
    overrides = tuple(overrides)
    own = {key: value for key, value in own.items() if key not in _NOT_OF_THE_RUN}
    own = _with_overridden_model(own, overrides)
    uri = common.get("run_uri")
    base = _for_model_of(own, copied(common))
    if isinstance(uri, str):
        base["run_uri"] = folder_of_stage(uri, name)
    moved = {key: own.pop(key) for key in _OF_THE_SOURCE if key in own}
    if source is not None:
        # A place is a fault that is said already.
        section = own.pop("source", None)
        if isinstance(section, dict):
            own["source"] = {key: item for key, item in section.items() if key not in _PLACES}
        base["source"] = {"run": folder_of_stage(str(uri), source)}
    if moved:
        below = expanded(own.get("source"), SourceConfig)
        own["source"] = {**(below if isinstance(below, dict) else {}), **moved}
    mine = {path[2:]: line for path, line in lines.items() if path[:2] == (STAGES, index)}
    mine |= {("source", key): mine[key,] for key in moved if (key,) in mine}
    others = {path: line for path, line in lines.items() if path[0] != STAGES}
    return StageValues(
        name,
        source,
        _with_own_fallback(_merged(base, own), common, own),
        overrides,
        {**others, **mine},
    )


def _with_overridden_model(own: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return the keys of a stage with the model that an override names, as if the file named it.

    So what is about the common model is left out. All overrides are applied later, too.
    """
    asked = _key_of(own, "model", "id")
    for override in overrides:
        key, _, text = override.partition("=")
        if key.strip() == "model":
            asked = _key_of({"model": read_document(text).value}, "model", "id") or asked
        elif key.strip() == "model.id":
            asked = read_document(text).value
    if asked == _key_of(own, "model", "id"):
        return own
    known = section_at(Config, ("model",))
    section = expanded(own.get("model"), known) if known is not None else own.get("model")
    return {**own, "model": {**(section if isinstance(section, dict) else {}), "id": asked}}


def folder_of_stage(run_uri: str, name: str) -> str:
    """Return the run folder of a stage."""
    return f"{run_uri.rstrip('/')}/{name}"


def _merged(common: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the common sections with the keys of a stage's sections over them."""
    merged = dict(common)
    for name, value in own.items():
        section = section_at(Config, (name,))
        before = merged.get(name)
        if section is None or value is None:
            merged[name] = value
            continue
        before, after = expanded(before, section), expanded(value, section)
        if not isinstance(before, dict) or not isinstance(after, dict) or _replaces(name, after):
            merged[name] = after
            continue
        alternatives = _ALTERNATIVES.get(name, ())
        if any(key in after for key in alternatives):
            before = {key: item for key, item in before.items() if key not in alternatives}
        merged[name] = _over(before, after)
    return merged


def _replaces(name: str, section: Mapping[str, Any]) -> bool:
    """Tell whether a section of a stage counts alone: the family of a model is of its id."""
    return name == "model" and "id" in section


def _for_model_of(own: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Leave out of the common part what is about its model, if a stage asks another one.

    Its prices would be counted for the stage, and its targets would be asked in place of the model.
    """
    asked, model = (_key_of(values, "model", "id") for values in (own, common))
    if None in (asked, model) or asked == model:
        return common
    kept = {name: value for name, value in common.items() if name != "targets"}
    for name, keys in _OF_THE_MODEL:
        section = section_at(Config, (name,))
        values = expanded(kept.get(name), section) if section is not None else None
        if isinstance(values, dict):
            kept[name] = {key: value for key, value in values.items() if key not in keys}
    return kept


def _key_of(values: Mapping[str, Any], name: str, key: str) -> Any:
    """Return a key of a section, which may be written in its short form; None if it has none."""
    known = section_at(Config, (name,))
    section = expanded(values.get(name), known) if known is not None else values.get(name)
    return section.get(key) if isinstance(section, dict) else None


def _over(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(before)
    for key, value in after.items():
        old = merged.get(key)
        is_deep = isinstance(old, dict) and isinstance(value, dict) and key != "schema"
        merged[key] = _over(old, value) if is_deep and old is not None else value
    return merged


def _with_own_fallback(
    values: dict[str, Any], common: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Let the fallback ask the stage's own model if it asks the common model in the common part."""
    common_model, model = _key_of(common, "model", "id"), _key_of(values, "model", "id")
    asked = _key_of(values, "fallback", "model_id")
    is_named = _key_of(own, "fallback", "model_id") is not None
    if is_named or asked is None or asked != common_model or model == common_model:
        return values
    fallback = values["fallback"]
    section = fallback if isinstance(fallback, dict) else {}
    return {**values, "fallback": {**section, "model_id": model}}
