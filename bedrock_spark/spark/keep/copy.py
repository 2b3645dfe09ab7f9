"""Copy the store of answers into a Delta Lake or Iceberg table, for queries.

The store stays the truth: nothing is looked up in the table. Every run adds what the table lacks,
also what other runs, canaries and previews have kept meanwhile. A note in the store says which
files the table has; whoever dies before the note leaves a merge to repeat, which adds nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.answers.copies import copy_state, forget_copies, note_copied
from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import AnswersFile, files_in_groups
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock
from bedrock_spark.config import AnswersConfig, Config, ResultsConfig
from bedrock_spark.config.overlaps import (
    named_copy,
    named_folders,
    named_results,
    named_source,
    overlap_of_copy,
)
from bedrock_spark.errors import ConfigError, PublishError
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.conflicts import repeat_on_conflict
from bedrock_spark.spark.destination import exists, place_name, places_of
from bedrock_spark.spark.errors import SPARK_ERRORS, config_errors, explain, own_error
from bedrock_spark.spark.existing_columns import existing_columns
from bedrock_spark.spark.folder import open_folder
from bedrock_spark.spark.keep.copy_merge import (
    COST,
    NARROW,
    SAME_ANSWER,
    Range,
    copy_statement,
)
from bedrock_spark.spark.tasks import observed_tasks
from bedrock_spark.spark.trial import try_path, try_table
from bedrock_spark.storage import Storage, open_storage

# Files of about this many bytes are merged at a time: what is done then is not done again.
_MERGE_BYTES = 32_000_000_000
# If there are at most this many files, their ranges are read, to leave out files of the table.
_MOST_OPENED = 32

log = logging.getLogger(__name__)

# As SCHEMA in answers/table.py.
COLUMNS = (
    "body_hash bigint, request_digest string, answered_at timestamp, outcome string, "
    "model_id string, run_id string, record_id string, served_by string, input_tokens bigint, "
    "output_tokens bigint, cost_usd double, model_output string"
)


def check_copy(spark: SparkSession, config: Config) -> None:
    """Raise ConfigError if the store of answers could not be copied as the config says.

    If there is no table, one is made and deleted again, and a merge of no rows is tried in it.
    """
    answers, named = config.answers, named_copy(config.answers)
    if answers is None or named is None or not answers.has_copy:
        return
    source, results = named_source(config.source), named_results(config.results)
    others = [*named_folders(config.run_uri, config.targets, answers), source, results]
    for mine in places_of(spark, named):
        for other in others:
            for theirs in places_of(spark, other) if other is not None else ():
                message = overlap_of_copy(mine, theirs)
                if message is not None:
                    raise ConfigError(message)
    target, about = _target(answers), f"{named}, answers.format = {answers.format!r}"
    empty = spark.createDataFrame([], COLUMNS)
    with config_errors(about):
        if exists(spark, target):
            _refuse_misfits(about, empty.schema, existing_columns(spark, target), answers)
            return

        def merge(place: str) -> None:
            empty.createOrReplaceTempView(view)
            try:
                spark.sql(copy_statement(_in_sql(spark, target, place), view))
            finally:
                spark.catalog.dropTempView(view)

        view = f"bedrock_spark_copy_{secrets.token_hex(4)}"
        if target.table is not None:
            try_table(spark, target, empty, str(named), merge)
        else:
            try_path(spark, target, empty, is_there=False, use=merge)


def copy_answers(
    spark: SparkSession,
    config: Config,
    aws: AwsSettings,
    clock: Clock,
    observe: Observer = ignore_progress,
) -> int:
    """Add what the table lacks of the store; return how many files of the store that were.

    Runs Spark actions only if the table lacks something. Raises PublishError if the table
    cannot be written, and AnswerStoreError if the store is damaged.
    """
    answers = config.answers
    if answers is None or not answers.has_copy:
        return 0
    store, target = open_storage(answers.uri, aws), _target(answers)
    try:
        place = place_name(spark, target) or ""
        if not exists(spark, target):
            forget_copies(store, place)
        state = copy_state(store, place)
        for group in files_in_groups(state.missing, _MERGE_BYTES):
            with observed_tasks(spark, "copy", observe):
                _merge(spark, store, target, group, clock)
            note_copied(store, place, state, [file.key for file in group])
    except SPARK_ERRORS as exc:
        own = own_error(exc)
        if own is not None:
            raise own from exc
        raise PublishError(
            f"answers.table = {answers.table!r}: {explain(exc).text}. The answers could not be "
            f"copied there. Nothing is lost: they are in {answers.uri}, and the next run that "
            "keeps answers, or this command again, adds them to the table"
        ) from exc
    return len(state.missing)


def _merge(
    spark: SparkSession,
    store: Storage,
    target: ResultsConfig,
    files: Sequence[AnswersFile],
    clock: Clock,
) -> None:
    """Merge the answers of some files into the table, which is made if it does not exist."""
    rows = spark.range(0, len(files), 1, len(files)).mapInArrow(
        _ReadTask(store, tuple(files)), COLUMNS
    )
    place = target.place or ""
    if not exists(spark, target):
        writer = spark.createDataFrame([], COLUMNS).write.format(target.format).mode("append")
        writer.save(place) if target.path is not None else writer.saveAsTable(place)
    view = f"bedrock_spark_copy_{secrets.token_hex(4)}"
    _each_once(rows).createOrReplaceTempView(view)
    try:
        statement = copy_statement(_in_sql(spark, target, place), view, _ranges(store, files))
        repeat_on_conflict(lambda: spark.sql(statement), clock)
    finally:
        spark.catalog.dropTempView(view)


def _each_once(rows: DataFrame) -> DataFrame:
    """Return each answer once: files may repeat it, and one of them may know its cost."""
    others = [name for name in SCHEMA.names if name not in (*SAME_ANSWER, COST)]
    grouped = rows.groupBy(*SAME_ANSWER)
    once = grouped.agg(F.max(COST).alias(COST), *(F.first(name).alias(name) for name in others))
    return once.select(*SCHEMA.names)


def _target(answers: AnswersConfig) -> ResultsConfig:
    """Return the table as the config of results would name it."""
    path = answers.table_path
    table = answers.table if path is None else None
    return ResultsConfig(format=answers.format or "", path=path, table=table, mode="merge")


def _in_sql(spark: SparkSession, target: ResultsConfig, place: str) -> str:
    """Return a table or a folder of the target's format as SQL names it."""
    if target.path is None:
        return place
    folder = open_folder(spark, place)
    # Delta takes a relative path for the name of a table.
    return f"{target.format}.{quote_name(folder.uri if folder is not None else place)}"


def _ranges(store: Storage, files: Sequence[AnswersFile]) -> dict[str, Range]:
    """Return the ranges of the NARROW columns in some files, of those that are known quickly."""
    if len(files) > _MOST_OPENED:
        return {}
    found: dict[str, list[Any]] = {name: [] for name in NARROW}
    for file in files:
        with closing(OpenAnswers(store, file)) as opened:
            own = {name: opened.range_of(name) for name in found}
        found = {n: [*found[n], *ends] for n, ends in own.items() if ends is not None}
    return {name: (min(ends), max(ends)) for name, ends in found.items() if ends}


def _refuse_misfits(
    about: str, mine: T.StructType, there: T.StructType, answers: AnswersConfig
) -> None:
    """Raise ConfigError if a table that exists cannot hold the columns of the store.

    It may have others, if these may be null.
    """
    theirs = {f.name.lower(): f for f in there.fields}
    own = {f.name for f in mine.fields}
    absent = [f for f in mine.fields if f.name not in theirs]
    types = {f.name: f.dataType for f in mine.fields if f.name in theirs}
    wrong = [
        f"{name} is {theirs[name].dataType.simpleString()} there, not {kind.simpleString()}"
        for name, kind in types.items()
        if theirs[name].dataType != kind
    ]
    needed = [name for name, f in theirs.items() if name not in own and not f.nullable]
    problems = [
        *([f"there is no column {', '.join(f.name for f in absent)}"] if absent else []),
        *wrong,
        *([f"the store has no column {', '.join(needed)}, which is NOT NULL"] if needed else []),
    ]
    if problems:
        raise ConfigError(
            f"{about}: the columns of the store do not fit: {'; '.join(problems)}. Name another "
            f"table for the copy of {answers.uri}, or change this one"
        )


@dataclass(frozen=True)
class _ReadTask:
    """Reads files of a store; Spark sends it to the executors."""

    store: Storage
    files: tuple[AnswersFile, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                with closing(OpenAnswers(self.store, self.files[number], may_hold=False)) as opened:
                    for group in opened.groups:
                        read = opened.read(group.number, SCHEMA.names).cast(SCHEMA)
                        yield from read.to_batches()
