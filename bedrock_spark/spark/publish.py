"""Publish the results to a path or table: overwrite it, append to it, or merge into it by key.

One process publishes at a time: it has a lease. Overwriting and merging are idempotent. Appending
is not, so the run folder notes every publication: an intent before it (write-ahead), and its
completion after it. If a process dies between the two, appended rows may be there or not. The next
publish then appends again: Delta Lake skips a transaction that it has
(https://docs.delta.io/kernel/rust/writing/idempotent_writes); in other formats the rows may be
there twice. docs/results.md says so too.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import Clock
from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.outcomes import BEST_FIRST, REJECTED
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import PUBLISH, Lease, renewed
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.published import (
    DONE,
    WRITING,
    Publication,
    Publications,
    results_fingerprint,
)
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.conflicts import repeat_on_conflict
from bedrock_spark.spark.destination import (
    OVERWRITE,
    exists,
    mark,
    place_name,
    refuse_foreign,
    refuse_overlaps,
)
from bedrock_spark.spark.existing_columns import existing_columns, fitted, is_table
from bedrock_spark.spark.folder import open_folder
from bedrock_spark.spark.replace import replace, restore
from bedrock_spark.spark.results import results
from bedrock_spark.spark.tasks import named_jobs, observed_tasks

_DELTA = "delta"
# Delta Lake commits a transaction version of an application once. The application is the run. Its
# rows are appended once, so the version never changes.
_TRANSACTION_VERSION = 1


def publish(
    spark: SparkSession,
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    observe: Observer = ignore_progress,
    *,
    is_partial: bool = False,
    wait: LeaseWait = NO_WAIT,
) -> str | None:
    """Write the results to the config's path or table; return it, or None if there is neither.

    is_partial: whether they are not final; then they count nowhere as the results of the run
    wait: for another process that publishes this run and may be dead

    Runs a Spark action. Raises RunHeldError if another process publishes this run, ConfigError if
    it would overwrite what this package did not write, and RunFolderError if rows of this run were
    appended there before and the results have changed since.
    """
    config = run.config.results
    destination, place = config.place, place_name(spark, config)
    if destination is None or place is None:
        return None
    with named_jobs(spark, "publish"), renewed(Lease(run.storage, clock, PUBLISH, wait)):
        refuse_overlaps(spark, run.config)
        if config.mode == OVERWRITE:
            restore(spark, config)
        refuse_foreign(spark, run)
        notes = Publications(run.storage)
        df, fingerprint = results(spark, run, manifest), results_fingerprint(run.storage)
        last = notes.at(place)
        if config.mode == "append" and _needs_no_append(run, destination, last, fingerprint):
            return destination
        note = Publication(config.mode, WRITING, fingerprint, is_partial=is_partial)
        notes.note(place, note)
        tasks = len(manifest.units)  # of the step that reads the results and writes them
        with observed_tasks(spark, "publish", observe, None, manifest.rows, "rows", tasks):
            is_marked = _write_as_configured(spark, df, run, destination, manifest.rows, clock)
        notes.note(place, dataclasses.replace(note, state=DONE, is_marked=is_marked))
    return destination


def published_at(spark: SparkSession, run: Run) -> str | None:
    """Return the place of the results if it has them as they are now, in their final state."""
    place = place_name(spark, run.config.results)
    note = Publications(run.storage).at(place) if place is not None else None
    if note is None or note.state != DONE or note.fingerprint != results_fingerprint(run.storage):
        return None
    return run.config.results.place


def is_appended(spark: SparkSession, run: Run) -> bool:
    """Tell whether the rows of the run were appended, or may have been, where the config says."""
    place = place_name(spark, run.config.results)
    note = Publications(run.storage).at(place) if place is not None else None
    return note is not None and note.mode == "append"


def _write_as_configured(
    spark: SparkSession, df: DataFrame, run: Run, destination: str, rows: int, clock: Clock
) -> bool:
    """Write the results; tell whether the place was marked as written by this package.

    rows: of the results
    """
    config = run.config.results
    if config.mode == "append":
        transaction: dict[str, Any] = {"txnAppId": run.run_id, "txnVersion": _TRANSACTION_VERSION}
        if is_table(config) and exists(spark, config):
            df = fitted(df, config, existing_columns(spark, config))
        _write(df, config, "append", **(transaction if _is_delta(config) else {}))
        return False
    if config.mode == "merge":
        _merge(spark, df, run, destination, clock)
        return False
    options: dict[str, Any] = {"overwriteSchema": "true"} if _is_delta(config) else {}

    def write(place: str, mode: str) -> None:
        _write(df, config, mode, place, **options)

    return replace(spark, config, write, rows, run.run_id, partial(mark, spark, run))


def _write(
    df: DataFrame, config: ResultsConfig, mode: str, place: str | None = None, **options: Any
) -> None:
    """Write the results to the place of the config, or to another one of its kind."""
    writer = df.write.format(config.format).mode(mode).options(**options)
    if config.path is not None:
        writer.save(place or config.path)
    elif config.table is not None:
        writer.saveAsTable(place or config.table)


def _needs_no_append(
    run: Run, destination: str, last: Publication | None, fingerprint: str
) -> bool:
    """Tell whether the rows are there. Raises RunFolderError if other rows of the run may be."""
    if last is not None and last.fingerprint != fingerprint:
        raise RunFolderError(_append_refusal(run, destination, last.state))
    return last is not None and last.state == DONE


def _append_refusal(run: Run, destination: str, state: str) -> str:
    were_written = "were written" if state == DONE else "may have been written"
    return (
        f"{run.storage.uri}: rows of this run {were_written} to {destination}, and the results "
        "have changed since. To append them again would duplicate rows: delete the run's rows "
        f"there and {layout.PUBLISHED_FILE} in the run folder, or use results.mode: merge"
    )


def _merge(spark: SparkSession, df: DataFrame, run: Run, destination: str, clock: Clock) -> None:
    """Update the rows whose key exists there, and insert the others.

    Rejected rows are left out: several of them may have the same key. If another writer commits to
    the table meanwhile, the merge is repeated: it is idempotent, and leaves nothing if it fails.
    """
    config = run.config.results
    outcome = f"{config.prefix}outcome"
    answered = df.where(f"{outcome} <> '{REJECTED}'")
    if not exists(spark, config):
        _write(answered, config, "errorifexists")
        return
    target = destination
    if config.path is not None:
        folder = open_folder(spark, config.path)
        # Delta takes a relative path for the name of a table.
        target = f"delta.{quote_name(folder.uri if folder is not None else config.path)}"
    view = "bedrock_spark_" + hashlib.sha256(run.run_id.encode()).hexdigest()[:16]
    answered.createOrReplaceTempView(view)
    try:
        key = run.config.source.key
        statement = merge_statement(target, view, key, answered.columns, outcome)
        repeat_on_conflict(lambda: spark.sql(statement), clock)
    finally:
        spark.catalog.dropTempView(view)


def merge_statement(
    target: str,
    view: str,
    key: tuple[str, ...],
    columns: Sequence[str],
    outcome: str = "outcome",
) -> str:
    """Return the MERGE statement, in the SQL of Delta Lake and Iceberg. Null keys are equal.

    columns: all columns of the results. Other columns of the table keep their values, and are null
        in new rows
    outcome: the name of the outcome's column

    A row is never replaced by one that has less of an answer: the answers count in the order of
    BEST_FIRST, and each of them more than an error or no answer at all.
    """
    rank = " ".join(f"WHEN '{name}' THEN {i}" for i, name in enumerate(BEST_FIRST))
    old, new = (f"CASE {side}.{outcome} {rank} ELSE {len(BEST_FIRST)} END" for side in "ts")
    has_no_less = f"{new} <= {old}"
    is_same_key = " AND ".join(f"t.{quote_name(name)} <=> s.{quote_name(name)}" for name in key)
    names = [quote_name(name) for name in columns]
    return (
        f"MERGE INTO {target} AS t USING {view} AS s ON {is_same_key} "
        f"WHEN MATCHED AND {has_no_less} THEN UPDATE SET "
        f"{', '.join(f't.{name} = s.{name}' for name in names)} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join(f's.{name}' for name in names)})"
    )


def _is_delta(config: ResultsConfig) -> bool:
    return config.format.lower() == _DELTA
