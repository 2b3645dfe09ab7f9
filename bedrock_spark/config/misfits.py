"""Sections that do not fit together, though each of them is right on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bedrock_spark.config.answer_schema import COLUMNS
from bedrock_spark.config.overlaps import overlaps
from bedrock_spark.schema import parse_ddl

if TYPE_CHECKING:
    from bedrock_spark.config.config import Config


def misfits(config: Config, broken: frozenset[str] = frozenset()) -> list[str]:
    """Return what does not fit. Each text begins with the key that it is about.

    broken: the sections that cannot be read; what depends on them is not checked
    """
    texts: list[str] = []
    for find, needed in _RULES:
        if broken.isdisjoint(needed):
            texts += find(config)
    return texts


def _merge_without_key(config: Config) -> Iterator[str]:
    # The key of another run's rows is known when that run is looked at.
    is_known = config.source.run is None
    if config.results.mode == "merge" and not config.source.key and is_known:
        yield "results.mode: merge needs source.key: rows are merged by it"


def _schema_of_no_columns(config: Config) -> Iterator[str]:
    if config.request.schema == COLUMNS and config.results.parse is None:
        yield "request.schema: columns needs results.parse.columns, of which the schema is made"


def _columns_without_schema(config: Config) -> Iterator[str]:
    """Both are asked of an answer: a column that the schema does not have could never be filled."""
    schema, parse = config.request.answer_schema, config.results.parse
    if schema is None or parse is None:
        return
    missing = [f.name for f in parse_ddl(parse.columns) if f.name not in schema["properties"]]
    if missing:
        yield (
            f"results.parse.columns: request.schema has no property {missing[0]}; add it there, or "
            "leave the column out"
        )


def _overlaps(config: Config) -> Iterator[str]:
    places = config.run_uri, config.source, config.results, config.targets, config.answers
    yield from overlaps(*places)


def _answers_without_output(config: Config) -> Iterator[str]:
    answers = config.answers
    if answers is not None and answers.is_written and config.results.model_output == "drop":
        yield (
            "results.model_output: drop leaves nothing to keep in answers.uri; keep it, or set "
            "answers.mode: read"
        )


_RULES: tuple[tuple[Callable[[Config], Iterator[str]], tuple[str, ...]], ...] = (
    (_merge_without_key, ("results", "source")),
    (_schema_of_no_columns, ("request", "results")),
    (_columns_without_schema, ("request", "results")),
    (_overlaps, ("run_uri", "source", "results", "targets", "answers")),
    (_answers_without_output, ("answers", "results")),
)
