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

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import Config
from bedrock_spark.config.base import is_above
from bedrock_spark.errors import (
    DuplicateKeyError,
    NullKeyError,
    PlanError,
    StorageError,
    TooManyRejectsError,
)
from bedrock_spark.families.asked_shape import asked_shape
from bedrock_spark.families.request_body import body_template
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    RejectedRows,
    RunManifest,
    Shard,
    commit_manifest,
    read_manifest,
)
from bedrock_spark.run_folder.prepared_files import (
    check_written,
    delete_prepared,
    delete_unnamed,
)
from bedrock_spark.run_folder.run import Run, begin_run, check_not_replaced
from bedrock_spark.shards.plan import SourceSize, plan_buckets
from bedrock_spark.spark.prepare.column_types import check_types
from bedrock_spark.spark.prepare.columns import column_of, ddl_of
from bedrock_spark.spark.prepare.damage import NO_KEY, NOT_PARSED
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.shuffle import repartition_by_hash, shuffles_of, with_ids
from bedrock_spark.spark.prepare.size_estimate import estimate_size, with_object_sizes
from bedrock_spark.spark.prepare.source import (
    SourceColumns,
    choose_columns,
    hint_for_corrupt,
    is_indexed,
    kept_on_disk,
    read_source,
    reading,
    renamed,
)
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.spark.sink import check_sink
from bedrock_spark.spark.source_state import state_of
from bedrock_spark.spark.tasks import TaskProgress, observed_tasks
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

_SUMMARY = "summary string"
# Buckets are written once by the estimate and, if need be, once by the exact size. A third time is
# only needed if the source returned other rows.
_MAX_ROUNDS = 3
_SHOWN_REASONS = 5

# One summary per bucket: see `finish` in task.py.
Summaries = list[dict[str, Any]]


def prepare(
    spark: SparkSession, run: Run, df: DataFrame | None = None, observe: Observer = ignore_progress
) -> RunManifest:
    """Cut the source into shards and return the run manifest. A committed manifest is only read.

    df: is read in place of the config's source

    Runs a few Spark actions, one of which reads the whole source. Raises ConfigError for columns
    that do not exist and for results that cannot be published, SourceError if Spark cannot read
    the source, DuplicateKeyError, TooManyRejectsError, and PlanError for a source without rows or
    one that returns other rows each time. Then its shards are deleted, its rejects kept.
    """
    committed = read_manifest(run.storage)
    if committed is not None:
        check_sink(spark, run, committed.columns, is_committed=True)
        return committed
    with reading(run.config.source, df):
        return _prepare(spark, run, df, observe)


def _prepare(spark: SparkSession, run: Run, df: DataFrame | None, observe: Observer) -> RunManifest:
    config = run.config
    # Before the first row is read: what changes from now on is noticed later.
    state = state_of(spark, config.source, df)
    source = df if df is not None else read_source(spark, config.source)
    template = body_template(config)
    line = asked_shape(config).line
    if line:
        log.info("%s: %s", run.storage.uri, line)
    table = renamed(source, config.source)
    columns = choose_columns(table, config.source, template, is_handed_in=df is not None)
    refuse_clashes(columns.kept, config.results)
    check_types(table.schema, columns.needed, template)
    is_cheap = df is None and is_indexed(spark, config.source)
    needed = table.select(*map(column_of, columns.needed))
    kept = ddl_of(table.select(*map(column_of, columns.kept)).schema)
    check_sink(spark, run, kept)
    prepare_id = layout.new_prepare_id()
    with (
        _deleted_on_error(run.storage, prepare_id),
        observed_tasks(spark, "prepare", observe) as tasks,
        _read_once(needed, source, is_cheap) as rows,
    ):
        repartitioning = _Repartitioning(run, columns, rows, prepare_id)
        size = repartitioning.estimate_size()
        refuse_sample(rows, template.columns, config, run.aws)
        run = begin_run(run)
        summaries = repartitioning.write_buckets(size, tasks)
        manifest = replace(_manifest(run, kept, summaries, prepare_id), source=state)
        check_not_replaced(run)
        check_written(run.storage, manifest)
    committed = _commit(run.storage, manifest)
    check_not_replaced(run)  # another process may have begun it again at the same time
    return committed


def _commit(storage: Storage, manifest: RunManifest) -> RunManifest:
    """Commit a manifest and delete the files that are not needed; return the committed manifest."""
    committed = commit_manifest(storage, manifest)
    if committed.prepare_id == manifest.prepare_id:
        delete_unnamed(storage, committed)
    else:
        log.info("%s: another prepare has committed; its shards are used", storage.uri)
        delete_prepared(storage, manifest.prepare_id)
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


@contextmanager
def _read_once(needed: DataFrame, source: DataFrame, is_cheap: bool) -> Iterator[DataFrame]:
    """Provide the needed columns of the source. Unless they are cheap, they are computed once."""
    is_persisted = source.storageLevel.useDisk or source.storageLevel.useMemory
    if is_persisted or is_cheap:
        yield needed
        return
    with kept_on_disk(needed) as kept:
        yield kept


@dataclass(frozen=True)
class _Repartitioning:
    """The repartitioning of a run's rows into buckets, until their number fits the exact size."""

    run: Run
    columns: SourceColumns
    rows: DataFrame
    prepare_id: str

    def estimate_size(self) -> SourceSize:
        """Estimate the size of all records. Raises PlanError if there is none."""
        template = body_template(self.run.config)
        template = with_object_sizes(template, self.rows, self.run.aws)
        size = estimate_size(self.rows, template, self.columns.kept)
        if size.records == 0:
            raise PlanError("source: has no rows, so there is nothing to ask")
        return size

    def write_buckets(self, size: SourceSize, progress: TaskProgress) -> Summaries:
        """Write the shards and rejects of every bucket; return the buckets' summaries."""
        buckets = plan_buckets(size, bounds_of(self.run.config))
        shuffles = shuffles_of(self.columns, self.run.config)
        for _ in range(_MAX_ROUNDS):
            # A task for each bucket writes its records.
            progress.expect(size.records, buckets, shuffles)
            summaries = self._write_round(buckets)
            _refuse_duplicates(self.run.config, summaries)
            _refuse_rejects(self.run.config, summaries, self.prepare_id)
            size = _size_of(summaries)
            exact_buckets = plan_buckets(size, bounds_of(self.run.config))
            if exact_buckets == buckets:
                return summaries
            buckets = exact_buckets
        raise PlanError(
            "source: gives other rows each time it is read, so its shards would not be the same "
            "twice; write it to a table first"
        )

    def _write_round(self, buckets: int) -> Summaries:
        config = self.run.config
        storage, aws = self.run.storage, self.run.aws
        task = PrepareTask(config, self.columns, storage, aws, buckets, self.prepare_id)
        by_bucket = repartition_by_hash(with_ids(self.rows, self.columns, config, aws), buckets)
        summaries = [json.loads(r[0]) for r in by_bucket.mapInArrow(task, _SUMMARY).collect()]
        return sorted(summaries, key=lambda bucket: int(bucket["bucket"]))


def _size_of(summaries: Summaries) -> SourceSize:
    shards = [s for bucket in summaries for s in bucket["shards"]]
    return SourceSize(
        records=sum(s["records"] for s in shards),
        line_bytes=sum(s["bytes"] for s in shards),
        squares=sum(bucket["squares"] for bucket in summaries),
        row_bytes=sum(bucket["row_bytes"] for bucket in summaries),
        row_squares=sum(bucket["row_squares"] for bucket in summaries),
    )


def _manifest(run: Run, ddl: str, summaries: Summaries, prepare_id: str) -> RunManifest:
    shards = tuple(Shard(**s) for bucket in summaries for s in bucket["shards"])
    rejects = tuple(RejectedRows(b["bucket"], b["rejected"]) for b in summaries if b["rejected"])
    rows = sum(b["rows"] for b in summaries)
    manifest = RunManifest(run.run_id, rows, ddl, shards, rejects, prepare_id)
    if manifest.records + manifest.sharing + manifest.rejected != manifest.rows:
        raise PlanError(
            f"{manifest.rows} rows became {manifest.records} records, which {manifest.sharing} "
            f"more rows share, and {manifest.rejected} rejects; the manifest was not written"
        )
    return manifest


def _refuse_duplicates(config: Config, summaries: Summaries) -> None:
    count = sum(bucket["duplicates"] for bucket in summaries)
    if not count:
        return
    # The keys themselves are data, and stand in no message.
    raise DuplicateKeyError(
        f"source.key: {', '.join(config.source.key)} is not unique: {count} rows repeat a key. The "
        f"{layout.REJECTS}/ folder of {config.run_uri} has these rows. Name more key columns, or "
        "keep one row of each by source.on_duplicate_key: first; nothing was submitted",
        rows=count,
    )


def _refuse_rejects(config: Config, summaries: Summaries, prepare_id: str) -> None:
    """Raise TooManyRejectsError if more rows are rejected than the config allows.

    Repeated keys are not counted: prepare goes on only if the config says to leave them out.
    """
    limit = config.source.max_rejects
    rows = sum(bucket["rows"] for bucket in summaries)
    rejected = sum(bucket["rejected"] - bucket["repeated"] for bucket in summaries)
    if limit is None or not is_above(rejected, limit, rows):
        return
    reasons: Counter[str] = Counter()
    for bucket in summaries:
        reasons.update(bucket["reasons"])
    common = reasons.most_common(_SHOWN_REASONS)
    shown = "; ".join(f"{reason}: {n:,} rows" for reason, n in common)
    allowed = f"{limit * 100:g} %" if isinstance(limit, float) else f"{limit:,}"
    hint = hint_for_corrupt(config.source) if any(NOT_PARSED in r for r in reasons) else ""
    kind = NullKeyError if common[0][0].endswith(NO_KEY) else TooManyRejectsError
    raise kind(
        f"source.max_rejects: {rejected:,} of {rows:,} rows cannot become records, and at most "
        f"{allowed} may. {shown}. {hint}{'. ' if hint else ''}The folder "
        f"{layout.REJECTS}/{prepare_id}/ has them all; nothing was submitted. Correct them, or "
        f"allow them by source.max_rejects: {rejected}"
    )
