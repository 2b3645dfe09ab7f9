"""Filtered rows for elsewhere: as CSV, piece by piece, and as the source of another run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pyarrow as pa
import yaml

from bedrock_spark.browse.opened_runs import OpenedRun
from bedrock_spark.browse.row_filter import (
    WITHOUT_REASON,
    ErrorGroup,
    RowFilter,
    cost_bounds,
    is_measure,
    is_text_type,
    measure_of,
    searched_columns,
)
from bedrock_spark.browse.row_pages import units_of, wanted_rows
from bedrock_spark.browse.row_sets import groups_of
from bedrock_spark.browse.unit_file import UnitFile
from bedrock_spark.browse.writers import csv_pieces
from bedrock_spark.config import Config, ResultsConfig
from bedrock_spark.errors import RunFolderError
from bedrock_spark.schema import quote_name

_ROWS = 1_000
# What a pattern of a message has in place of what differs from row to row, and the white space.
_VARIABLE = re.compile(r"'…'|\[…\]|…|\bN\b|\s+")
# A whole number as Spark writes it: another text is none of its values.
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def csv_of(
    opened: OpenedRun, wanted: RowFilter, *, unit: str | None = None, is_sample: bool = False
) -> Iterator[bytes]:
    """Yield the wanted rows as CSV, with all columns: first the header.

    unit: only its rows; is_sample: only those of the sample that pages show
    Memory holds some rows of one row group. Raises RunFolderError if a unit cannot be read, or has
    other columns than the one before: then the CSV is not whole.
    """
    batches = _batches(opened, wanted, unit, is_sample)
    first = next(batches, None)
    if first is None:
        yield from csv_pieces(schema_of(opened), iter(()))
        return
    yield from csv_pieces(first.schema, _alike(opened, chain([first], batches)))


def _batches(
    opened: OpenedRun, wanted: RowFilter, unit: str | None, is_sample: bool
) -> Iterator[pa.RecordBatch]:
    for file, group in _groups(opened, wanted, unit, is_sample):
        if not wanted.may_be_in(file.metadata(group), opened.run.config.results):
            continue
        rows = wanted_rows(file, group, wanted, opened)
        for start in range(0, len(rows), _ROWS):
            table = file.take(group, rows[start : start + _ROWS], file.schema.names)
            yield from table.combine_chunks().to_batches()


def _groups(
    opened: OpenedRun, wanted: RowFilter, unit: str | None, is_sample: bool
) -> Iterator[tuple[UnitFile, int]]:
    if is_sample:
        yield from groups_of(opened, wanted, None)
        return
    for place in units_of(opened, wanted, unit):
        with UnitFile(opened.run.storage, opened.counts.units[place]) as file:
            yield from ((file, group) for group in range(file.groups))


def _alike(opened: OpenedRun, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches; raise RunFolderError if one has other columns than the first."""
    schema: pa.Schema | None = None
    for batch in batches:
        schema = schema or batch.schema
        if batch.schema.names != schema.names or batch.schema.types != schema.types:
            raise RunFolderError(
                f"{opened.run.storage.uri}: the shards have different columns, because the "
                "config's results section has changed; run bedrock-spark collect again"
            )
        yield batch


def schema_of(opened: OpenedRun) -> pa.Schema:
    """Return the columns of the first unit that is collected; none if there is no such unit."""
    for place in opened.counts.candidates(RowFilter())[:1].tolist():
        with UnitFile(opened.run.storage, opened.counts.units[place]) as file:
            return file.schema
    return pa.schema([])


def source_of(run_uri: str, config: Config, wanted: RowFilter, schema: pa.Schema) -> str:
    """Return the source section of a config whose rows are the wanted ones, as YAML.

    schema: of the results; config: of the run
    """
    outcomes = list(wanted.outcomes)
    conditions: list[str] = []
    notes: list[str] = []
    prefix = config.results.prefix
    if wanted.error is not None:
        if outcomes and wanted.error.outcome not in outcomes:
            conditions.append("false")  # no row of the group has one of these outcomes
        outcomes = [wanted.error.outcome]
        conditions += _of_group(wanted.error, prefix)
        if any("LIKE" in condition for condition in conditions):
            notes.append("LIKE takes messages that differ in ids, numbers and quoted values only.")
    if wanted.column is not None:
        conditions.append(_of_value(wanted.column, wanted.value, schema, config.results))
    if wanted.text:
        text = _literal(wanted.text.lower())
        names = searched_columns(schema, config.results)
        found = (f"contains(lower({quote_name(name)}), {text})" for name in names)
        conditions.append(f"({' OR '.join(found)})")
    source: dict[str, Any] = {"run": run_uri, "outcome": outcomes or ["all"]}
    if conditions:
        source["where"] = " AND ".join(conditions)
    if not outcomes or set(outcomes) != {"ok"}:
        notes.append("Rows that are not ok can be read when that run is done: it may ask them yet.")
    text = yaml.safe_dump({"source": source}, sort_keys=False, allow_unicode=True, width=100)
    head = (
        "# The source of another run: these rows, with all columns of the source and the answers."
    )
    return "\n".join([head, *(f"# {note}" for note in notes), text])


def _of_group(group: ErrorGroup, prefix: str) -> Iterator[str]:
    code, message = quote_name(f"{prefix}error_code"), quote_name(f"{prefix}error_message")
    yield f"{code} IS NULL" if group.code is None else f"{code} = {group.code}"
    if group.outcome in WITHOUT_REASON:
        return
    parts = [re.sub(r"([\\%_])", r"\\\1", part) for part in _VARIABLE.split(group.message)]
    pattern = re.sub("\0+", "%", "\0".join(parts)) if group.message else ""
    if pattern:
        yield f"{message} LIKE {_literal(pattern)}"
    else:
        yield f"coalesce({message}, '') = ''"


def _of_value(column: str, value: str, schema: pa.Schema, results: ResultsConfig) -> str:
    name = quote_name(column)
    if not value:
        return f"coalesce(cast({name} AS string), '') = ''"
    kind = schema.field(column).type if column in schema.names else pa.string()
    bounds = cost_bounds(column, value, kind, results)
    if bounds is not None:
        low, high = (f"CAST('{bound!r}' AS DOUBLE)" for bound in bounds)
        return f"{name} BETWEEN {low} AND {high}"
    if is_measure(kind):
        return _of_measure(name, measure_of(value, kind), kind)
    is_plain = (pa.types.is_boolean(kind) and value in ("true", "false")) or (
        pa.types.is_integer(kind) and _WHOLE_NUMBER.fullmatch(value)
    )
    if is_plain:
        return f"{name} = {value}"
    if is_text_type(kind):
        return f"{name} = {_literal(value)}"
    return f"cast({name} AS string) = {_literal(value)}"


def _of_measure(name: str, wanted: pa.Scalar | None, kind: pa.DataType) -> str:
    """Compare values, not texts: Spark writes a float or a time otherwise than the page."""
    if wanted is None:
        return "false"
    value = wanted.as_py()
    if pa.types.is_floating(kind):
        text, sql = repr(value), "FLOAT" if pa.types.is_float32(kind) else "DOUBLE"
    else:
        text, sql = value.isoformat(), "DATE"
        if pa.types.is_timestamp(kind):
            sql = "TIMESTAMP_NTZ" if kind.tz is None else "TIMESTAMP"
    return f"{name} = CAST({_literal(text)} AS {sql})"


def _literal(text: str) -> str:
    """Return a text as a literal of Spark SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
