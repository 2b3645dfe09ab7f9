"""Repartition a source into buckets, until their number fits the exact size of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import PlanError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.at_once import actions_at_once
from bedrock_spark.spark.local_shuffle.plain_files import PlainFiles
from bedrock_spark.spark.local_shuffle.shuffle import cut_files
from bedrock_spark.spark.local_shuffle.size import size_of_files
from bedrock_spark.spark.prepare.looked import Looked
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.shuffle import (
    repartition_by_hash,
    repartition_by_range,
    shuffles_of,
    with_ids,
)
from bedrock_spark.spark.prepare.size_estimate import estimate_size, with_object_sizes
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask, Summaries, bounds_of
from bedrock_spark.spark.tasks import TaskProgress

_SUMMARY = "summary string"
# Buckets are written once by the estimate and, if need be, once by the exact size. A third time is
# only needed if the source returned other rows.
_MAX_ROUNDS = 3


@dataclass(frozen=True)
class Repartitioning:
    """The repartitioning of a run's rows into buckets, until their number fits the exact size.

    task: returns the work on the buckets, given their number, and whether they are ranges of hashes
    files: the rows as files, if the local shuffle may read them
    """

    config: Config
    aws: AwsSettings
    columns: SourceColumns
    rows: DataFrame
    task: Callable[[int, bool], PrepareTask]
    files: PlainFiles | None = None

    def estimate_size(self) -> SourceSize:
        """Estimate the size of all records, count the rows, and check the first bodies.

        Raises PlanError if there is no record, and ConfigError if the model would refuse the
        bodies. Of another run, there may be no record: no row has the wanted outcomes.
        """
        if self.files is not None:
            size = size_of_files(self.files, self.config, self.columns, self.aws)
        else:
            size = self._estimate_by_spark()
        if size.records == 0 and self.config.source.run is None:
            where = self.config.source.where
            what = "has no rows" if where is None else f"has no row for which {where} is true"
            raise PlanError(f"source: {what}, so there is nothing to ask")
        return size

    def _estimate_by_spark(self) -> SourceSize:
        """Estimate, count and check at once: each small Spark action leaves cores idle."""
        template = body_template(self.config)
        with actions_at_once(self.rows.sparkSession) as actions:
            rows = actions.begin(self.rows.count)
            checked = actions.begin(
                refuse_sample, self.rows, template.columns, self.config, self.aws
            )
            template = with_object_sizes(template, self.rows, self.aws)
            size = estimate_size(self.rows, template, self.columns.kept, rows.result)
        if size.records:
            checked.result()
        return size

    def write_buckets(
        self,
        looked: Looked,
        progress: TaskProgress,
        check: Callable[[Summaries], None] = lambda _: None,
        begin: Callable[[], object] = lambda: None,
    ) -> tuple[Summaries, int]:
        """Do the task of every bucket; return the buckets' summaries, and how many there must be.

        That is the number that there are, unless the lookup has cut some: then their rows are not
        here to be cut otherwise.

        looked: the rows, of which some may be cut
        check: is called with the summaries of each round, and may raise an error
        begin: is called before the first file is written, and may raise an error
        """
        size, bounds = looked.size, bounds_of(self.config)
        if not size.records and not looked.cut:
            return [], 0
        buckets = looked.buckets if looked.cut else looked.planned_buckets(size, bounds)
        shuffles = shuffles_of(self.columns, self.config) if looked.rows is None else 1
        has_repeats = False
        files = self.files if looked.rows is None else None
        for _ in range(_MAX_ROUNDS):
            summaries = list(looked.cut)
            if looked.size.records:
                # A task for each bucket writes its records.
                progress.expect(size.records, buckets, shuffles)
                written = None
                if files is not None:
                    task = self.task(buckets, False)
                    written = cut_files(self.rows.sparkSession, files, task, begin)
                    if written is None:  # only Spark can
                        files = None
                        progress.expect(size.records, buckets, shuffles)
                if written is None:
                    written = self._write_round(
                        buckets, looked.rows, begin, has_repeats=has_repeats
                    )
                if any("hash_repeats" in bucket for bucket in written):
                    # Keys repeat, or one of the rare pairs of keys has one hash.
                    has_repeats, files = True, None
                    progress.expect(size.records, buckets, shuffles)
                    written = self._write_round(
                        buckets, looked.rows, begin, has_repeats=has_repeats
                    )
                summaries += written
            summaries.sort(key=lambda bucket: int(bucket["bucket"]))
            check(summaries)
            size = _size_of(summaries)
            exact_buckets = looked.planned_buckets(size, bounds)
            if exact_buckets == buckets or looked.cut:
                return summaries, exact_buckets
            buckets = exact_buckets
        raise PlanError(
            "source: gives other rows each time it is read, so its shards would not be the same "
            "twice; write it to a table first"
        )

    def _write_round(
        self,
        buckets: int,
        identified: DataFrame | None,
        begin: Callable[[], object],
        *,
        has_repeats: bool,
    ) -> Summaries:
        is_by_range = identified is not None
        if identified is None:
            identified = with_ids(
                *(self.rows, self.columns, self.config, self.aws), has_repeats=has_repeats
            )
        repartition = repartition_by_range if is_by_range else repartition_by_hash
        by_bucket = repartition(identified, buckets)
        written = by_bucket.mapInArrow(self.task(buckets, is_by_range), _SUMMARY)
        begin()
        rows = written.collect()
        return [json.loads(row[0]) for row in rows]


def _size_of(summaries: Summaries) -> SourceSize:
    shards = [s for bucket in summaries for s in bucket["shards"]]
    return SourceSize(
        records=sum(s["records"] for s in shards),
        line_bytes=sum(s["bytes"] for s in shards),
        squares=sum(bucket["squares"] for bucket in summaries),
        row_bytes=sum(bucket["row_bytes"] for bucket in summaries),
        row_squares=sum(bucket["row_squares"] for bucket in summaries),
    )
