"""A config from a request that was tried: its question, asked about every row of a table.

The question needs a column. A question that has a placeholder already keeps it. Else the text to
embed, or the picture to draw, becomes a column; any other question is asked about the column below
it. All other texts are sent as they were tried, also those with braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from bedrock_spark.aws.model_family import hides_family
from bedrock_spark.check import check_config, list_prices
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_by_name, family_of_model
from bedrock_spark.starter.config_text import NewConfig, config_text
from bedrock_spark.templates.body_template import compile_template

DEFAULT_COLUMN = "text"
_ROLE = "arn:aws:iam::123456789012:role/BedrockBatch"
_SHOWN = 100
_CODE = re.compile(r"\{[{%#]")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class TriedRequest:
    """A request that was sent, or could be.

    model_id: as the call names it; base: the bare id of its foundation model, if that is known
    family: the name of the family that built the request; `converse` for Converse
    prompt: the last question
    options: the other keys of the config's `request` that it was built of
    body: the whole request if options do not make it: with several turns, or edited by hand; else
        None
    """

    model_id: str
    family: str
    prompt: str
    options: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    base: str | None = None


def config_of_request(
    tried: TriedRequest, runs: str | None = None, region: str | None = None
) -> str:
    """Return the YAML of a config, which `check` accepts.

    runs: the prefix of run folders; None for one to replace. Raises ConfigError if there is no
    place for a column in the body.
    """
    prefix = (runs or "s3://my-bucket/runs").rstrip("/")
    prompt, request = _request(tried)
    model_id, fallback_id = _models(tried)
    new = NewConfig(
        run_uri=f"{prefix}/playground",
        source={"path": "s3://my-bucket/questions/", "format": "parquet"},
        key=["id"],
        model_id=model_id,
        model=_model_keys(tried, model_id),
        fallback_id=fallback_id,
        prompt=prompt,
        request=request,
        role_arn=_ROLE,
        region=region,
        results={"path": "s3://my-bucket/answers/"},
        has_budget=False,
        notes=tuple(_notes(tried)),
        made_by="the playground of `bedrock-spark ui`",
    )
    config = check_config(yaml.safe_load(config_text(new)))
    # A budget needs the price of every call; a throughput has none but that of its hours.
    if list_prices(config).unknown or fallback_id is not None:
        return config_text(new)
    text = config_text(replace(new, has_budget=True))
    check_config(yaml.safe_load(text))
    return text


def _notes(tried: TriedRequest) -> Iterator[str]:
    yield "Replace the bucket, the role and the source by your own; the source has a column of"
    yield "the name that stands in braces. `bedrock-spark check` shows what is still wrong."
    if not _has_columns(tried.prompt):
        asked = json.dumps(tried.prompt, ensure_ascii=False)
        asked = "".join(c if c.isprintable() else "…" for c in asked)
        yield f"It was tried with: {asked if len(asked) <= _SHOWN else asked[:_SHOWN] + '…'}"


def _models(tried: TriedRequest) -> tuple[str, str | None]:
    """Return the model of the batch jobs, and that of the fallback if it is another one."""
    if ":provisioned-model/" not in tried.model_id:
        return tried.model_id, None
    if tried.base is None:
        raise ConfigError(
            f"{tried.model_id}: batch jobs take no provisioned throughput, and its base model is "
            "not known; choose the base model"
        )
    return tried.base, tried.model_id


def _model_keys(tried: TriedRequest, model_id: str) -> dict[str, Any]:
    """Return the keys of `model` without which the request would be built otherwise."""
    model = ModelConfig(id=model_id)
    if hides_family(model):
        return {"family": tried.family} if tried.family != "converse" else _CONVERSE
    try:
        by_id = family_of_model(model).name
    except ConfigError:
        by_id = None
    if by_id == tried.family:
        return {}
    return _CONVERSE if tried.family == "converse" else {"family": tried.family}


_CONVERSE = {"invocation": "converse"}


def _request(tried: TriedRequest) -> tuple[str | None, dict[str, Any]]:
    """Return the prompt, and the other keys of `request`."""
    question = _question(tried)
    if tried.body is None:
        options = dict(tried.options)
        if isinstance(options.get("system"), str):
            options["system"] = _literal(options["system"])
        return question, options
    place = _place_of(tried.prompt, tried.body)
    return None, {"body": _as_template(tried.body, (), place, tried.prompt, question)}


def _question(tried: TriedRequest) -> str:
    if _has_columns(tried.prompt):
        return tried.prompt
    column = f"{{{{ {DEFAULT_COLUMN} }}}}"
    family = family_by_name(tried.family)
    is_row = family.answers_images or family.read_chunk is None
    if is_row or not tried.prompt.strip():
        return column
    return f"{_literal(tried.prompt)}\n\n{column}"


def _has_columns(text: str) -> bool:
    try:
        return bool(compile_template(text).columns)
    except ConfigError:
        return False


def _literal(text: str) -> str:
    """Return the template of a text that is sent as it is."""
    return _CODE.sub(lambda code: f"{{% raw %}}{code[0]}{{% endraw %}}", text)


def _place_of(prompt: str, body: Mapping[str, Any]) -> Path:
    """Return the keys that lead to the text with the question: the last one that has it."""
    texts = list(_strings(body, ()))
    same = [path for path, text in texts if text == prompt]
    found = same or [path for path, text in texts if prompt in text]
    if not found or not prompt.strip():
        raise ConfigError(
            "the request as JSON does not have the question of the form, so the place of the "
            "column is not known; write the same question into both"
        )
    return found[-1]


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _strings(item, (*path, i))


def _as_template(value: Any, path: Path, place: Path, prompt: str, question: str) -> Any:
    """Return a body as a template: `question` at its place, all other texts as they are."""
    if isinstance(value, str):
        if path != place:
            return _literal(value)
        before, _, after = value.rpartition(prompt)
        return _literal(before) + question + _literal(after)
    if isinstance(value, Mapping):
        return {
            key: _as_template(item, (*path, key), place, prompt, question)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _as_template(item, (*path, i), place, prompt, question) for i, item in enumerate(value)
        ]
    return value
