"""Repartition a source into buckets, until their number fits the exact size of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import PlanError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.shards.plan import SourceSize, plan_buckets
from bedrock_spark.spark.at_once import actions_at_once
from bedrock_spark.spark.prepare.sample_lint import refuse_sample
from bedrock_spark.spark.prepare.shuffle import repartition_by_hash, shuffles_of, with_ids
from bedrock_spark.spark.prepare.size_estimate import estimate_size, with_object_sizes
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of
from bedrock_spark.spark.tasks import TaskProgress

_SUMMARY = "summary string"
# Buckets are written once by the estimate and, if need be, once by the exact size. A third time is
# only needed if the source returned other rows.
_MAX_ROUNDS = 3

# One summary per bucket: see `finish` in task.py.
Summaries = list[dict[str, Any]]


@dataclass(frozen=True)
class Repartitioning:
    """The repartitioning of a run's rows into buckets, until their number fits the exact size.

    task: returns the work on the buckets, given their number
    """

    config: Config
    aws: AwsSettings
    columns: SourceColumns
    rows: DataFrame
    task: Callable[[int], PrepareTask]

    def estimate_size(self) -> SourceSize:
        """Estimate the size of all records; count the rows and check the first bodies meanwhile.

        Each of the three is a small Spark action, which leaves cores idle.

        Raises PlanError if there is no record, and ConfigError if the model would refuse the
        bodies. Of another run, there may be no record: no row has the wanted outcomes.
        """
        template = body_template(self.config)
        with actions_at_once(self.rows.sparkSession) as actions:
            rows = actions.begin(self.rows.count)
            checked = actions.begin(
                refuse_sample, self.rows, template.columns, self.config, self.aws
            )
            template = with_object_sizes(template, self.rows, self.aws)
            size = estimate_size(self.rows, template, self.columns.kept, rows.result)
        if size.records == 0 and self.config.source.run is None:
            where = self.config.source.where
            what = "has no rows" if where is None else f"has no row for which {where} is true"
            raise PlanError(f"source: {what}, so there is nothing to ask")
        if size.records:
            checked.result()
        return size

    def write_buckets(
        self,
        size: SourceSize,
        progress: TaskProgress,
        check: Callable[[Summaries], None] = lambda _: None,
        identified: DataFrame | None = None,
        begin: Callable[[], object] = lambda: None,
    ) -> Summaries:
        """Do the task of every bucket; return the buckets' summaries.

        check: is called with the summaries of each round, and may raise an error
        identified: rows with hashes, if not all rows of the source go into buckets
        begin: is called before the first file is written, and may raise an error
        """
        if not size.records:
            return []
        buckets = plan_buckets(size, bounds_of(self.config))
        shuffles = shuffles_of(self.columns, self.config) if identified is None else 1
        has_repeats = False
        for _ in range(_MAX_ROUNDS):
            # A task for each bucket writes its records.
            progress.expect(size.records, buckets, shuffles)
            summaries = self._write_round(buckets, identified, begin, has_repeats=has_repeats)
            if any("hash_repeats" in bucket for bucket in summaries):
                # Keys repeat, or one of the rare pairs of keys has one hash.
                has_repeats = True
                progress.expect(size.records, buckets, shuffles)
                summaries = self._write_round(buckets, identified, begin, has_repeats=has_repeats)
            check(summaries)
            size = _size_of(summaries)
            exact_buckets = plan_buckets(size, bounds_of(self.config))
            if exact_buckets == buckets:
                return summaries
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
        if identified is None:
            identified = with_ids(
                *(self.rows, self.columns, self.config, self.aws), has_repeats=has_repeats
            )
        by_bucket = repartition_by_hash(identified, buckets)
        written = by_bucket.mapInArrow(self.task(buckets), _SUMMARY)
        begin()
        rows = written.collect()
        summaries = [json.loads(row[0]) for row in rows]
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
