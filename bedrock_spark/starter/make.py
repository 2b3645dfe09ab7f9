"""From a few answers to a config that passes `check`, with its policies and command lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from bedrock_spark.check import check_config, list_prices
from bedrock_spark.config import Config
from bedrock_spark.config.formats import format_of_path
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.schema import is_result, parse_ddl
from bedrock_spark.starter.config_text import NewConfig, config_text
from bedrock_spark.starter.examples import Example
from bedrock_spark.starter.files import NewFile, policy_files, steps_file
from bedrock_spark.starter.source_sample import SourceSample, check_key
from bedrock_spark.starter.tasks import Task
from bedrock_spark.templates.explain import column_placeholder

_SQL = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{[{%]")
_PREFIX = "llm_"
DEFAULT_MODEL, DEFAULT_TOKENS = "amazon.nova-lite-v1:0", 500


@dataclass(frozen=True)
class Place:
    """Where a run is: its folder, the role of its jobs, the Region, the place of the results.

    notes: what is a guess and must be replaced
    """

    run_uri: str
    role_arn: str
    region: str
    results: str | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Wish:
    """What to ask. Either a task or a prompt of the user's own is given.

    columns: of the answers, as DDL; None for those of the task
    """

    task: Task | None = None
    prompt: str | None = None
    model_id: str | None = None
    columns: str | None = None


@dataclass(frozen=True)
class Made:
    """The files of a new config, and the config itself."""

    config: Config
    files: tuple[NewFile, ...]


def _clashes(names: Sequence[str], columns: str | None) -> bool:
    """Tell whether a column of the source has the name of one of the results'."""
    parsed = {f.name.lower() for f in parse_ddl(columns)} if columns is not None else set()
    return any(is_result(name) or name.lower() in parsed for name in names)


def source_section(text: str, table_format: str | None = None) -> dict[str, Any]:
    """Return the section `source` for a path, the name of a table, or a query."""
    if _SQL.match(text):
        return {"sql": text}
    by_name = format_of_path(text)
    known = table_format or by_name
    is_name = known is None and not _is_here(text)
    if is_name and "/" not in text and not PurePosixPath(text).suffix:
        return {"table": text}
    if is_name and re.fullmatch(r"[\w$`-]+(\.[\w$`-]+){1,2}", text):
        return {"table": text}
    # A folder of a lake is nearly always Parquet.
    section: dict[str, Any] = {"path": text}
    if known is None or known != by_name:
        section["format"] = known or "parquet"
        if known == "csv":  # as a config takes it for granted of a file whose name ends so
            section["options"] = {"header": True}
    return section


def _is_here(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False


def name_of_source(source: Mapping[str, Any]) -> str:
    """Return a name for the config: that of the file, the folder or the table."""
    if "path" in source:
        last = str(source["path"]).rstrip("/").rsplit("/", 1)[-1].split(".")[0]
    else:
        last = str(source.get("table", "")).rsplit(".", 1)[-1]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-") or "questions"


def make(
    name: str,
    source: Mapping[str, Any],
    key: Sequence[str] | None,
    wish: Wish,
    place: Place,
    sample: SourceSample,
    deploy: Mapping[str, str],
) -> Made:
    """Return the files of a new config. Raises ConfigError for what does not fit the source.

    key: None to take the one that the first rows propose
    deploy: see `steps_file`
    """
    if key:
        check_key(sample, key)
    key = sample.proposed_key() if key is None else tuple(key)
    task = wish.task
    column = sample.proposed_column(has_images=task is not None and task.has_images, key=key)
    names_columns = task is None and _PLACEHOLDER.search(wish.prompt or "") is not None
    if column is None and not names_columns:
        what = "images: bytes, or URIs of S3" if task and task.has_images else "text"
        raise ConfigError(
            f"--source: no column holds {what}; write a --prompt that names columns. It has "
            f"{', '.join(sample.names)}"
        )
    prompt, request = _question(wish, column or "")
    return made(name, source, key, wish, place, prompt, request, deploy, sample.names)


def make_example(example: Example, wish: Wish, place: Place, deploy: Mapping[str, str]) -> Made:
    """Return the files of an example, its source included."""
    prompt, request = _question(wish, example.column)
    own = made(
        *(example.name, example.source, [example.key], wish, place, prompt, request, deploy, None)
    )
    return Made(own.config, (example.file(), *own.files))


def _question(wish: Wish, column: str) -> tuple[str, dict[str, Any]]:
    """Return the prompt, and the further keys of `request`."""
    placeholder = f"{{{{ {column} }}}}" if column.isidentifier() else column_placeholder(column)
    if wish.task is None:
        prompt = wish.prompt or ""
        if not _PLACEHOLDER.search(prompt):
            prompt = f"{prompt}\n\n{placeholder}"
        return prompt, {"max_tokens": DEFAULT_TOKENS}
    options = dict(wish.task.options)
    if wish.task.has_images:
        options = {"images": [column], **options}
    return wish.task.prompt_for(placeholder), options


def made(
    name: str,
    source: Mapping[str, Any],
    key: Sequence[str],
    wish: Wish,
    place: Place,
    prompt: str,
    request: Mapping[str, Any],
    deploy: Mapping[str, str],
    names: Sequence[str] | None,
) -> Made:
    """Return the files of a config whose parts are known; the config is checked as a whole.

    names: the columns of the source; None if the prompt is known to fit
    """
    task = wish.task
    columns = wish.columns or (task.columns if task is not None else None)
    is_local = "path" in source and "://" not in str(source["path"])
    results = place.results or (f"{name}-answers" if is_local else f"{place.run_uri}-answers")
    prefix = {"prefix": _PREFIX} if _clashes(names or (), columns) else {}
    new = NewConfig(
        run_uri=place.run_uri,
        source=source,
        key=key,
        model_id=wish.model_id or (task.model_id if task is not None else DEFAULT_MODEL),
        prompt=prompt,
        request=request,
        role_arn=place.role_arn,
        region=place.region,
        results={"path": results, **prefix},
        columns=columns,
        has_budget=False,
        notes=place.notes,
    )
    config = check_config(yaml.safe_load(config_text(new)))
    prices = list_prices(config)
    if not prices.unknown:
        new = NewConfig(**{**vars(new), "has_budget": True})
    text = config_text(new)
    config = check_config(yaml.safe_load(text))
    if names is not None:
        check_columns(body_template(config).columns, names, "--prompt")
    files = (
        NewFile(f"{name}.yaml", text.encode()),
        *policy_files(name, config, place.region),
        steps_file(name, config, deploy),
    )
    return Made(config, files)
