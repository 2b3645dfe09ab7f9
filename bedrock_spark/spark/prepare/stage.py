"""Prepare: the source becomes shards, rows beside them, rejects, and last of all the run manifest.

One shuffle deals the rows into buckets by a hash of their record id; one task cuts one bucket into
shards. The driver gets one small row per bucket. How many buckets there are is planned from a guess
at the size, and the size is counted exactly on the way: where the exact figures would have been
dealt otherwise, they are dealt again. So the shards depend on the rows alone, never on how the
source is stored or how good the guess was.

Until the run manifest is written nothing is committed, and running prepare again writes the same
files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import Config
from bedrock_spark.errors import DuplicateKeyError, PlanError, TooManyRejectsError
from bedrock_spark.families.lint import refuse_lint
from bedrock_spark.families.request_body import body_template
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    RejectedRows,
    RunManifest,
    Shard,
    commit_manifest,
    read_manifest,
)
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.plan import SourceSize, plan_buckets
from bedrock_spark.spark.prepare.assign_ids import MAX_EXAMPLES
from bedrock_spark.spark.prepare.columns import column_of, ddl_of
from bedrock_spark.spark.prepare.shuffle import repartition_by_hash, with_ids
from bedrock_spark.spark.prepare.size_estimate import guess_size, with_object_sizes
from bedrock_spark.spark.prepare.source import (
    SourceColumns,
    check_types,
    choose_columns,
    is_indexed,
    kept_on_disk,
    read_source,
)
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of
from bedrock_spark.spark.result_schema import refuse_clashes
from bedrock_spark.spark.tasks import observed_tasks
from bedrock_spark.storage import Storage

_SUMMARY = "summary string"
# Once from a guess, once from what it came to; a third time only if the source changed meanwhile.
_DEALS = 3
_SHOWN_REASONS = 5

Found = list[dict[str, Any]]


def prepare(
    spark: SparkSession, run: Run, df: DataFrame | None = None, observe: Observer = unobserved
) -> RunManifest:
    """Cut the source into shards and return the run manifest; done once, it is only read.

    `df` takes the place of the config's source. Runs a few Spark actions, one of which reads the
    whole source. Raises ConfigError for columns that are not there, DuplicateKeyError,
    TooManyRejectsError, and PlanError for a source without rows.
    """
    committed = read_manifest(run.storage)
    if committed is not None:
        return committed
    config = run.config
    refuse_lint(config)
    source = df if df is not None else read_source(spark, config.source)
    template = body_template(config)
    columns = choose_columns(source, config.source, template)
    refuse_clashes(columns.kept, config.results)
    check_types(source.schema, columns.needed, template)
    is_cheap = df is None and is_indexed(spark, config.source)
    needed = source.select(*map(column_of, columns.needed))
    with observed_tasks(spark, "prepare", observe), _read_once(needed, source, is_cheap) as rows:
        found = _Repartitioning(run, columns, rows).deal()
    kept = source.select(*map(column_of, columns.kept)).schema
    return commit_manifest(run.storage, _manifest(run, ddl_of(kept), found))


@contextmanager
def _read_once(needed: DataFrame, source: DataFrame, is_cheap: bool) -> Iterator[DataFrame]:
    """Give the needed columns of the source, so that what is dear to compute is computed once."""
    is_kept = source.storageLevel.useDisk or source.storageLevel.useMemory
    if is_kept or is_cheap:
        yield needed
        return
    with kept_on_disk(needed) as kept:
        yield kept


@dataclass(frozen=True)
class _Repartitioning:
    """The rows of a run on their way into shards."""

    run: Run
    columns: SourceColumns
    rows: DataFrame

    def deal(self) -> Found:
        """Write every bucket; return what is in each, dealt as the exact figures want it."""
        template = body_template(self.run.config)
        size = guess_size(self.rows, with_object_sizes(template, self.rows, self.run.aws))
        if size.records == 0:
            raise PlanError("source: has no rows, so there is nothing to ask")
        buckets = plan_buckets(size, bounds_of(self.run.config))
        for _ in range(_DEALS):
            found = self._deal_into(buckets)
            _refuse_duplicates(self.run.config, found)
            _refuse_rejects(self.run.config, found)
            wanted = plan_buckets(_size_of(found), bounds_of(self.run.config))
            if wanted == buckets:
                _sweep(self.run.storage, found)
                return found
            buckets = wanted
        raise PlanError(
            "source: gives other rows each time it is read, so its shards would not be the same "
            "twice; write it to a table first"
        )

    def _deal_into(self, buckets: int) -> Found:
        config = self.run.config
        task = PrepareTask(config, self.columns, self.run.storage, buckets)
        dealt = repartition_by_hash(with_ids(self.rows, self.columns, config), buckets)
        found = [json.loads(r[0]) for r in dealt.mapInArrow(task, _SUMMARY).collect()]
        return sorted(found, key=lambda bucket: int(bucket["bucket"]))


def _sweep(storage: Storage, found: Found) -> None:
    """Delete what a wrong guess or a prepare that died left: nothing will ever name it."""
    shards = [s["shard_id"] for bucket in found for s in bucket["shards"]]
    named = {layout.rejects_key(b["bucket"]) for b in found if b["rejected"]}
    named |= {key(shard) for shard in shards for key in (layout.shard_key, layout.rows_key)}
    folders = (layout.SHARDS, layout.ROWS, layout.REJECTS)
    written = [o.key for folder in folders for o in storage.list(f"{folder}/")]
    left = [key for key in written if key not in named]
    if left:
        storage.delete(left)


def _size_of(found: Found) -> SourceSize:
    shards = [s for bucket in found for s in bucket["shards"]]
    return SourceSize(
        records=sum(s["records"] for s in shards),
        line_bytes=sum(s["bytes"] for s in shards),
        squares=sum(bucket["squares"] for bucket in found),
    )


def _manifest(run: Run, ddl: str, found: Found) -> RunManifest:
    shards = tuple(Shard(**s) for bucket in found for s in bucket["shards"])
    rejects = tuple(RejectedRows(b["bucket"], b["rejected"]) for b in found if b["rejected"])
    manifest = RunManifest(run.run_id, sum(b["rows"] for b in found), ddl, shards, rejects)
    if manifest.records + manifest.sharing + manifest.rejected != manifest.rows:
        raise PlanError(
            f"{manifest.rows} rows became {manifest.records} records, which {manifest.sharing} "
            f"more rows share, and {manifest.rejected} rejects; the manifest was not written"
        )
    return manifest


def _refuse_duplicates(config: Config, found: Found) -> None:
    count = sum(bucket["duplicates"] for bucket in found)
    if not count:
        return
    examples = sorted({key for bucket in found for key in bucket["examples"]})[:MAX_EXAMPLES]
    raise DuplicateKeyError(
        f"source.key: {', '.join(config.source.key)} is not unique: {count} rows repeat a key. "
        f"The first are {', '.join(examples)}. Name more key columns, or keep one row of each by "
        "source.on_duplicate_key: first; nothing was submitted",
        keys=examples,
    )


def _refuse_rejects(config: Config, found: Found) -> None:
    most = config.source.max_rejects
    rows = sum(bucket["rows"] for bucket in found)
    rejected = sum(bucket["rejected"] for bucket in found)
    if most is None or rejected <= (most * rows if isinstance(most, float) else most):
        return
    reasons: Counter[str] = Counter()
    for bucket in found:
        reasons.update(bucket["reasons"])
    said = "; ".join(f"{reason}: {n} rows" for reason, n in reasons.most_common(_SHOWN_REASONS))
    raise TooManyRejectsError(
        f"source.max_rejects: {rejected} of {rows} rows cannot become records, more than {most} "
        f"allowed. {said}. The rejects/ folder has them all; nothing was submitted"
    )
