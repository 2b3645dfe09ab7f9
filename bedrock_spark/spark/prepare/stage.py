"""Prepare: write the source as shards, their rows and rejects, and last of all the run manifest.

One shuffle repartitions the rows into buckets by a hash of their record id; one task cuts one
bucket into shards. Spark's driver gets one small row per bucket. The number of buckets is planned
from an estimate of the size, and the exact size is counted while the buckets are written. If the
exact size leads to another number of buckets, they are written again with that number. So the
shards depend on the rows alone, never on how the source is stored or how good the estimate was.

The run manifest commits prepare. Until it is written, running prepare again writes the same shards.
Each call writes below folders of its own, and the manifest, which is created only if it is absent,
names them. So two prepares at once do not touch each other's files: the first to commit wins, and
the other one deletes what it wrote itself.

The run is begun before the first file is written: a config or a source that is refused at once
leaves no run folder behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import Config
from bedrock_spark.errors import PlanError, RunFolderError, StorageError
from bedrock_spark.families.asked_shape import asked_shape
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    RejectedRows,
    RunManifest,
    commit_manifest,
    read_manifest,
    refuse_other_run,
    shard_of,
)
from bedrock_spark.run_folder.prepared_files import (
    check_written,
    delete_prepared,
)
from bedrock_spark.run_folder.run import Run, begin_run, check_not_replaced, new_run_id
from bedrock_spark.run_folder.source_run import DerivedFrom
from bedrock_spark.spark.keep.copy import check_copy
from bedrock_spark.spark.local_shuffle.plain_files import find_plain_files
from bedrock_spark.spark.prepare.cut_rows import cut_rows
from bedrock_spark.spark.prepare.key_repeats import with_known_keys
from bedrock_spark.spark.prepare.looked import Looked
from bedrock_spark.spark.prepare.lookup import Lookup
from bedrock_spark.spark.prepare.refused_rows import refusals_of
from bedrock_spark.spark.prepare.repartitioning import Repartitioning
from bedrock_spark.spark.prepare.source import reading
from bedrock_spark.spark.prepare.table import SourceTable, open_table
from bedrock_spark.spark.prepare.task import PrepareTask, Summaries
from bedrock_spark.spark.sink import check_sink
from bedrock_spark.spark.tasks import named_jobs, observed_tasks
from bedrock_spark.storage import Storage, calls_at_once

log = logging.getLogger(__name__)


def prepare(
    spark: SparkSession,
    run: Run,
    df: DataFrame | None = None,
    observe: Observer = ignore_progress,
    on_begin: Callable[[Run], object] = lambda run: None,
    approve: Callable[[RunManifest], object] = lambda manifest: None,
    clock: Clock | None = None,
) -> RunManifest:
    """Cut the source into shards and return the run manifest. A committed manifest is only read.

    df: is read in place of the config's source
    on_begin: is called with the run as soon as it is begun
    approve: is called with the manifest before it is committed, or with the one that is; it may
        raise an error
    clock: says how old kept answers are

    Runs a few Spark actions, one of which reads the whole source. Raises ConfigError for columns
    that do not exist and for results that cannot be published, SourceError if Spark cannot read
    the source, DuplicateKeyError, TooManyRejectsError, and PlanError for a source without rows or
    one that returns other rows each time. Then its shards are deleted, its rejects kept.
    """
    committed = run.committed()
    if committed is None:
        with named_jobs(spark, "prepare"), reading(run.config.source, df):
            table, committed = _open_table(spark, run, df)
            if table is not None:
                now = (clock or SystemClock()).now()
                return _prepare(spark, run, table, observe, on_begin, approve, now)
    assert committed is not None
    approve(committed)
    with named_jobs(spark, "prepare"):
        check_sink(spark, run, committed.columns, is_committed=True)
        check_copy(spark, run.config)
    return committed


def _open_table(
    spark: SparkSession, run: Run, df: DataFrame | None
) -> tuple[SourceTable | None, RunManifest | None]:
    """Return the source, of which no row is read yet; or the manifest if there is one by now.

    The folder is asked while Spark looks at the source. Raises an error of the source only if there
    is no manifest: without one, the source is of no interest any more.
    """
    with calls_at_once(run.storage) as calls:
        reading_it = calls.begin(read_manifest, run.storage)
        try:
            table = open_table(spark, run.config, df, run.aws)
        except Exception:
            committed = reading_it.result()
            if committed is None:
                raise
            return None, committed
    committed = reading_it.result()
    return (table, None) if committed is None else (None, committed)


def _prepare(
    spark: SparkSession,
    run: Run,
    table: SourceTable,
    observe: Observer,
    on_begin: Callable[[Run], object],
    approve: Callable[[RunManifest], object],
    now: float,
) -> RunManifest:
    config = run.config
    line = asked_shape(config).line
    if line:
        log.info("%s: %s", run.storage.uri, line)
    check_sink(spark, run, table.kept)
    check_copy(spark, config)
    prepare_id = layout.new_prepare_id()
    with (
        _deleted_on_error(run.storage, prepare_id),
        observed_tasks(spark, "prepare", observe) as tasks,
        table.read_once() as rows,
    ):
        columns, storage, aws = table.columns, run.storage, run.aws
        repartitioning = Repartitioning(
            *(config, aws, columns, rows),
            lambda buckets, is_by_range: PrepareTask(
                config, columns, storage, aws, buckets, prepare_id, is_by_range
            ),
            find_plain_files(spark, config, table),
        )
        size = repartitioning.estimate_size()
        with calls_at_once(storage) as calls:
            # Spark plans the first action meanwhile. It waits before that begins.
            beginning = calls.begin(begin_run, _with_lineage(run, table.derived_from))

            @cache
            def begin() -> None:
                on_begin(beginning.result())

            columns = with_known_keys(rows, columns, config)
            repartitioning = replace(repartitioning, columns=columns)
            lookup = Lookup(*(config, columns, storage, aws), rows, prepare_id, now, begin)

            def refuse(looked: Looked, summaries: Summaries) -> None:
                _refuse(config, prepare_id, looked.kept_rows, summaries)

            with cut_rows(lookup, repartitioning, size, tasks, refuse) as (looked, summaries):
                # There may be no records: all answers were kept, or no row of the run that is the
                # source has the wanted outcomes. Then this run is over at once.
                begin()
        run = beginning.result()
        manifest = _manifest(run, table.kept, summaries, looked, prepare_id)
        manifest = replace(manifest, source=table.state)
        approve(manifest)
        unnamed = _check_before_commit(run, manifest)
    return _commit(run, manifest, unnamed, approve)


def _with_lineage(run: Run, derived_from: DerivedFrom | None) -> Run:
    """Return the run with the state of the run that it reads. If that is another, begin again.

    Then it has a new id: a process that prepares the rows as they were notices it by that.
    """
    if run.derived_from == derived_from:
        return run
    run_id = new_run_id(run.config.run_uri) if run.is_begun else run.run_id
    return replace(run, run_id=run_id, derived_from=derived_from, is_begun=False)


def _refuse(config: Config, prepare_id: str, kept_rows: int, summaries: Summaries) -> None:
    """Raise the first reason why the rows may not be used; rejects are kept to be looked at."""
    place = f"The folder {layout.REJECTS}/{prepare_id}/ of {config.run_uri} has these rows. "
    for refusal in refusals_of(config, summaries, place, kept_rows):
        raise refusal


def _check_before_commit(run: Run, manifest: RunManifest) -> list[str]:
    """Raise RunFolderError if the run was begun again with another config, or files are missing.

    Returns the files of prepare that the manifest does not name.
    """
    with calls_at_once(run.storage) as calls:
        not_replaced = calls.begin(check_not_replaced, run)
        written = calls.begin(_check_written, run.storage, manifest)
    not_replaced.result()
    return written.result()


def _check_written(storage: Storage, manifest: RunManifest) -> list[str]:
    """As `check_written`, but raise no error if another prepare has committed.

    That one has deleted what this one had written by then.
    """
    try:
        return check_written(storage, manifest)
    except RunFolderError:
        if read_manifest(storage) is None:
            raise
        return []


def _commit(
    run: Run,
    manifest: RunManifest,
    unnamed: Sequence[str],
    approve: Callable[[RunManifest], object],
) -> RunManifest:
    """Commit a manifest and delete the files that are not needed; return the committed manifest.

    Another process may have begun the run again since the last look, and still does not find the
    manifest. Then this process learns it before it submits: see `open_submission`.

    unnamed: the files of prepare that the manifest does not name
    approve: is called with that of another process that was first, whose shards may be others
    """
    storage = run.storage
    committed = commit_manifest(storage, manifest)
    if committed.prepare_id == manifest.prepare_id:
        if unnamed:
            storage.delete(unnamed)
        return committed
    log.info("%s: another prepare has committed; its shards are used", storage.uri)
    delete_prepared(storage, manifest.prepare_id)
    refuse_other_run(committed, run.run_id, storage)
    approve(committed)
    return committed


@contextmanager
def _deleted_on_error(storage: Storage, prepare_id: str) -> Iterator[None]:
    """If the block fails, delete its shards and rows: no manifest will name them."""
    try:
        yield
    except Exception:
        try:
            delete_prepared(storage, prepare_id, but_rejects=True)
        except StorageError as exc:
            log.warning("deleting the shards of a prepare that failed: %s", exc)
        raise


def _manifest(
    run: Run, ddl: str, summaries: Summaries, looked: Looked, prepare_id: str
) -> RunManifest:
    shards = tuple(shard_of(s) for bucket in summaries for s in bucket["shards"])
    rejects = tuple(RejectedRows(b["bucket"], b["rejected"]) for b in summaries if b["rejected"])
    cut = sum(b["rows"] for b in summaries)
    if looked.rows is not None and cut != looked.asked_rows:
        # Spark has computed rows again, of a source that has changed since.
        raise PlanError(
            f"source: {looked.asked_rows} rows had no kept answer, and then {cut} came to be "
            "asked: it gives other rows each time it is read; write it to a table first"
        )
    rows = cut + looked.kept_rows
    manifest = RunManifest(
        *(run.run_id, rows, ddl, shards, rejects, prepare_id),
        kept=looked.kept,
        why_asked=looked.why_asked(sum(b["rows"] - b["rejected"] for b in summaries)),
    )
    counted = manifest.records + manifest.sharing + manifest.rejected + manifest.kept_rows
    if counted != manifest.rows:
        raise PlanError(
            f"{manifest.rows} rows became {manifest.records} records, which {manifest.sharing} "
            f"more rows share, {manifest.rejected} rejects and {manifest.kept_rows} rows with kept "
            "answers; the manifest was not written"
        )
    return manifest
