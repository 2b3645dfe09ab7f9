"""Plan a run: nothing is paid, submitted or written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from bedrock_spark.check import check_config
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import Config, parse_config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.errors import ConfigError, OtherRunError, RunFolderError, StorageError
from bedrock_spark.model_check import ask_models
from bedrock_spark.planning.earlier import EarlierRun, find_earlier
from bedrock_spark.planning.make import Comparison, make_plan, prepared_of, refusal_of
from bedrock_spark.planning.values import Plan, Refusal
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.config_versions import newest_config
from bedrock_spark.run_folder.manifest import read_manifest
from bedrock_spark.run_folder.prepared import Prepared
from bedrock_spark.run_folder.run import Run, new_run, open_run
from bedrock_spark.storage import open_storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.spark.prepare.known_keys import EarlierRows

log = logging.getLogger(__name__)


def plan(
    spark: SparkSession | Callable[[Config], SparkSession],
    df: DataFrame | None,
    config: AnyConfig,
    output_tokens: float | None = None,
    observe: Observer = ignore_progress,
    clock: Clock | None = None,
    against: str | None = None,
) -> Plan:
    """Return what a run of `df`, or of the config's source if `df` is None, would do and cost.

    The numbers of rows, records and shards are exact: the source is read and cut as in a run. If
    the run is prepared already, its shards are counted, and Spark is not used.

    spark: a session, or a function that returns one; it is called only if Spark is needed
    output_tokens: the mean of an answer, if you know it; else an earlier canary of the run measures
        it, or it stays open
    against: the URI of the run to compare with; else it is the last one of the same source in the
        run folder or beside it
    Raises a BedrockSparkError for what a run refuses before it reads all rows.
    """
    clock = clock or SystemClock()
    run, refusals = _opened(check_config(config), clock)
    compared = _compared(run, against, refusals)
    manifest = read_manifest(run.storage) if run.is_begun else None
    if manifest is not None:
        prepared = prepared_of(run, manifest)
    else:
        session = spark(run.config) if callable(spark) else spark
        prepared = _rehearsed(session, run, df, observe, clock, compared.earlier)
    return make_plan(run, prepared, ask_models(run), clock.now(), output_tokens, compared)


def _opened(config: Config, clock: Clock) -> tuple[Run, tuple[Refusal, ...]]:
    """Open a run. If its folder holds another one, return a new one, and why it cannot begin."""
    try:
        return open_run(config, clock), ()
    except OtherRunError as exc:
        return new_run(config, clock), (refusal_of(exc),)


def _compared(run: Run, against: str | None, refusals: tuple[Refusal, ...]) -> Comparison:
    """Look for the last run of the same source. Without a right to look, a note says so."""
    try:
        return Comparison(find_earlier(run, against), refusals)
    except (StorageError, RunFolderError) as exc:
        if against is not None:
            raise
        note = f"earlier runs were not looked at, so what has changed is not known: {exc}"
        return Comparison(None, refusals, (note,))


def _rehearsed(
    spark: SparkSession,
    run: Run,
    df: DataFrame | None,
    observe: Observer,
    clock: Clock,
    earlier: EarlierRun | None,
) -> Prepared:
    from bedrock_spark.spark.errors import stage_errors
    from bedrock_spark.spark.prepare.rehearsal import rehearse

    rows = None if earlier is None else _rows_if_readable(earlier, run)
    with stage_errors("plan"):
        return rehearse(spark, run, df, observe, clock, rows)


def _rows_if_readable(earlier: EarlierRun, run: Run) -> EarlierRows | None:
    """Return `_rows_of`; None, with a warning, if the folder of the earlier run is no help."""
    try:
        return _rows_of(earlier, run)
    except (ConfigError, RunFolderError, StorageError) as exc:
        log.warning("%s: which rows are new is not known: %s", earlier.run_uri, exc)
        return None


def _rows_of(earlier: EarlierRun, run: Run) -> EarlierRows | None:
    """Return the rows of an earlier run, to tell which rows are new.

    None if nothing is looked up, if the keys of both runs cannot be compared, or if it has not
    collected all its rows.
    """
    from bedrock_spark.spark.prepare.known_keys import EarlierRows

    answers, key, manifest = run.config.answers, run.config.source.key, earlier.manifest
    if answers is None or not answers.is_read or not key or manifest is None:
        return None
    storage = open_storage(earlier.run_uri, run.aws)
    before = parse_config(newest_config(storage, earlier.description["config"]))
    is_collected = storage.list(layout.RECONCILIATION_FILE)
    if before.source.key != key or not is_collected:
        return None
    return EarlierRows(storage, manifest, before.results, key)
