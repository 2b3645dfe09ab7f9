"""Compare two runs row by row, or a run with true values: in memory, or on Spark if it is large."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.comparing.build import (
    columns_of,
    gold_score,
    matching_of,
    measures_of,
    run_of,
    share_of,
    transitions_of,
)
from bedrock_spark.comparing.gold import Gold, as_texts, open_gold
from bedrock_spark.comparing.plan import (
    ComparisonPlan,
    GoldPlan,
    RunTable,
    open_table,
    plan_comparison,
)
from bedrock_spark.comparing.values import Comparison, Example, ShownRow
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.compact import compact, place_of
from bedrock_spark.pairs.in_memory import tally_in_memory
from bedrock_spark.pairs.plain_values import text_of
from bedrock_spark.pairs.sides import Place, Side
from bedrock_spark.pairs.tally import DifferentPair, Tally
from bedrock_spark.run_folder.cleaned import RESULTS
from bedrock_spark.run_folder.run import find_run
from bedrock_spark.storage import LocalStorage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The most rows of all tables together that are compared in memory: at about 210 bytes a row with
# three compared columns (bench/compare.py), with PyArrow itself, 1 GB. Each more takes some 50.
MOST_ROWS = 4_000_000
_USUAL_COLUMNS = 4
MEMORY, SPARK = "memory", "spark"
_GOLD_ROWS = 10_000
_FILES_AT_ONCE = 4


def compare_runs(
    run_a: str,
    run_b: str | None,
    key: Sequence[str],
    columns: Sequence[str],
    outcomes: Sequence[str],
    samples: int,
    gold: Any,
    gold_column: str | None,
    gold_key: Sequence[str],
    gold_format: str | None,
    spark: SparkSession | Callable[[Config], SparkSession] | None,
    engine: str | None,
    region: str | None,
    endpoint_url: str | None,
    where: str | None = None,
) -> Comparison:
    """Return what differs between the rows of two runs; see `bedrock_spark.compare`."""
    if run_b is None and gold is None:
        raise ConfigError("compare: name a second run, or a table of true values: --gold TABLE")
    if (gold is None) != (gold_column is None):
        raise ConfigError("--gold and --gold-column go together: the table, and its column")
    uris = [uri for uri in (run_a, run_b) if uri is not None]
    tables = [open_table(find_run(u, region, endpoint_url, needs=(RESULTS,))) for u in uris]
    aws = AwsSettings(region, endpoint_url)
    if engine not in (None, MEMORY, SPARK):
        raise ConfigError(f"engine = {engine!r}: must be {MEMORY!r}, {SPARK!r} or None")
    opened = None if gold is None else open_gold(gold, gold_format, aws)
    if spark is None and opened is not None and opened.frame is not None:
        spark = opened.frame.sparkSession
    # Of answers that are compared, with the text and the one that has true values.
    answers = len(columns) or max(len(table.parsed) for table in tables)
    most = most_rows(answers + 1 + (opened is not None))
    chosen = _engine(engine, tables, opened, most, has_spark=spark is not None)
    session = None
    if chosen == SPARK:
        config = _session_config(tables[0].run.config, opened)
        session = spark(config) if callable(spark) else spark
    truth = None if opened is None else _truth(session, opened)
    gold_plan = None
    if truth is not None and gold_column is not None:
        name, _, answer = gold_column.partition("=")
        gold_plan = GoldPlan(truth.schema, name, answer or None, tuple(gold_key) or None)
    plan = plan_comparison(tables, key, columns, outcomes, samples, gold_plan, where)
    tallies = _in_memory(plan, truth) if session is None else _on_spark(session, plan, truth)
    return _comparison(chosen, plan, tallies, names_all=samples > 0)


def most_rows(columns: int) -> int:
    """Return how many rows are compared in memory. columns: how many of each are compared"""
    return MOST_ROWS * _USUAL_COLUMNS // max(_USUAL_COLUMNS, columns)


def _session_config(config: Config, gold: Gold | None) -> Config:
    """Return a config of which a session reads the true values: it decides on the connectors."""
    source = None if gold is None else gold.source
    return config if source is None else config.model_copy(update={"source": source})


@dataclass(frozen=True)
class _Truth:
    """The true values, in memory or in Spark, and their types."""

    schema: pa.Schema
    table: pa.Table | None = None
    frame: DataFrame | None = None


def _truth(spark: SparkSession | None, gold: Gold) -> _Truth:
    if gold.table is not None:
        return _Truth(gold.table.schema, gold.table)
    assert spark is not None
    from bedrock_spark.spark.compare import truth_frame

    frame, schema = truth_frame(spark, gold.frame, gold.source)
    return _Truth(schema, frame=frame)


def _engine(
    wanted: str | None,
    tables: Sequence[RunTable],
    gold: Gold | None,
    most: int,
    *,
    has_spark: bool,
) -> str:
    """Return how the rows are compared. Raises ConfigError if that is not possible.

    most: how many rows are compared in memory if nobody has chosen
    """
    rows = sum(table.manifest.rows for table in tables)
    if gold is not None and gold.table is not None:
        rows += gold.table.num_rows
    needs = gold is not None and gold.table is None
    if wanted == MEMORY or (wanted is None and not needs and rows <= most):
        if needs:
            raise ConfigError("--gold: this table can be read with Spark only: --spark")
        return MEMORY
    if not has_spark:
        why = "the table of true values" if needs else f"{rows:,} rows, more than {most:,},"
        raise ConfigError(f"compare: {why} can be compared with Spark only: --spark, or spark=…")
    return SPARK


def _in_memory(plan: ComparisonPlan, truth: _Truth | None) -> list[Tally]:
    batches = [
        batch
        for table, side in zip(plan.tables, plan.sides, strict=False)
        for batch in _compact_run(table, side)
    ]
    if truth is not None and truth.table is not None:
        batches += _compact_table(truth.table, plan.sides[-1])
    return tally_in_memory(batches, plan.columns, plan.questions)


def _compact_run(table: RunTable, side: Side) -> Iterator[pa.RecordBatch]:
    """Yield the compact rows of a run. From S3, a few files are read at once."""
    threads = 1 if isinstance(table.run.storage, LocalStorage) else _FILES_AT_ONCE
    pool = ThreadPoolExecutor(threads)
    try:
        indexes = range(len(table.files.units))
        yield from chain.from_iterable(
            pool.map(lambda index: list(table.files.compact(index, side)), indexes)
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _compact_table(table: pa.Table, side: Side) -> list[pa.RecordBatch]:
    made, row = [], 0
    for batch in table.select(side.needed).combine_chunks().to_batches(_GOLD_ROWS):
        made.append(compact(batch, side, 0, row))
        row += batch.num_rows
    return made


def _on_spark(spark: SparkSession, plan: ComparisonPlan, truth: _Truth | None) -> list[Tally]:
    from bedrock_spark.spark.compare import tally_on_spark, text_frame
    from bedrock_spark.spark.errors import stage_errors

    with stage_errors("compare"):
        frame = None if truth is None else truth.frame
        if truth is not None and truth.table is not None:
            needed = plan.sides[-1].needed
            frame = text_frame(spark, needed, as_texts(truth.table, needed))
        runs = [(table.files, table.manifest.rows) for table in plan.tables]
        known = truth.table.num_rows if truth is not None and truth.table is not None else 0
        return tally_on_spark(spark, runs, frame, plan.sides, plan.columns, plan.questions, known)


def _comparison(
    engine: str, plan: ComparisonPlan, tallies: Sequence[Tally], *, names_all: bool
) -> Comparison:
    runs = [run_of(table) for table in plan.tables]
    has_two = len(runs) > 1
    both = tallies[0] if has_two else None
    golds = range(int(has_two), len(tallies))
    return Comparison(
        engine=engine,
        a=runs[0],
        b=runs[1] if has_two else None,
        matching=matching_of(both, plan, 0) if both else None,
        both_ok=both.both_ok if both else None,
        different=share_of(both.different, both.paired) if both else None,
        decided_by=[plan.columns[i].name for i in plan.decisive] if both else [],
        outcomes=transitions_of(both) if both else [],
        columns=columns_of(both, plan, names_all=names_all) if both else [],
        measures=measures_of(both, plan) if both else [],
        gold=[gold_score(tallies[i], plan, i, names_all=names_all) for i in golds],
        examples=_examples(plan, tallies[0]),
        notes=list(plan.notes),
    )


def _examples(plan: ComparisonPlan, counted: Tally) -> list[Example]:
    """Read the rows of the pairs that differ: of each file the row groups that have one."""
    pairs = counted.samples
    if not pairs:
        return []
    question = plan.questions[0]
    rows = [
        _rows(plan, Place.A, [p.first if question.first is Place.A else p.second for p in pairs]),
        _rows(plan, Place.B, [p.second for p in pairs]) if question.first is Place.A else {},
    ]
    return [_example(plan, pair, rows) for pair in pairs]


def _rows(plan: ComparisonPlan, place: Place, packed: Sequence[int]) -> dict[Any, Any]:
    table, side = plan.tables[place], plan.sides[place]
    wanted: dict[int, list[int]] = {}
    for index, row in map(place_of, packed):
        wanted.setdefault(index, []).append(row)
    return table.files.rows(wanted, _shown_columns(plan, side))


def _error_column(plan: ComparisonPlan, side: Side) -> str | None:
    return plan.tables[side.place].name_of("error_message")


def _shown_columns(plan: ComparisonPlan, side: Side) -> list[str]:
    error = _error_column(plan, side)
    return list(dict.fromkeys(chain(side.needed, [error] if error is not None else [])))


def _example(plan: ComparisonPlan, pair: DifferentPair, rows: Sequence[Any]) -> Example:
    is_of_two = plan.questions[0].first is Place.A
    places = [pair.first, pair.second] if is_of_two else [pair.second]
    values = [rows[i][place_of(packed)] for i, packed in enumerate(places)]
    shown = [_shown(plan, plan.sides[i], own) for i, own in enumerate(values)]
    key = {name: _plain(values[0][name]) for name in plan.sides[0].key}
    return Example(key, shown[0], shown[1] if is_of_two else None, pair.truth)


def _shown(plan: ComparisonPlan, side: Side, row: dict[str, Any]) -> ShownRow:
    order = [*plan.decisive, *(i for i in range(len(plan.columns)) if i not in plan.decisive)]
    columns = [plan.columns[i] for i in order if not plan.columns[i].is_measure]
    names = {column.name: column.names[side.place] for column in columns}
    error = _error_column(plan, side)
    return ShownRow(
        row.get(side.outcome or ""),
        {name: _plain(row[own]) for name, own in names.items() if own is not None},
        row.get(error or ""),
        row.get(side.record_id or ""),
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: dates, decimals and what is not a number are text."""
    text = json.dumps(value, ensure_ascii=False, default=text_of)
    return json.loads(text, parse_constant=str)
