"""Look the source up in the store of answers, before its rows are cut into shards.

The rows are shuffled into ranges of the hash of their body, and each task reads its range of the
store. Rows whose answers are kept are written at once; only the others go on to the buckets. If
these are nearly all, and the ranges are the buckets, the same task cuts them. The list of the
store's files is pinned once, so a task that is repeated finds the same answers.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.answers.store import AnswersFile, pin_files
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.invoke.kept_calls import rules_of
from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.looked import Looked
from bedrock_spark.spark.prepare.lookup_task import SUMMARY, LookupTask
from bedrock_spark.spark.prepare.shuffle import repartition_by_range, shuffles_of, with_ids
from bedrock_spark.spark.prepare.source import kept_on_disk
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.streamed_answers import parts_for, split_files, with_answers
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of
from bedrock_spark.spark.tasks import TaskProgress
from bedrock_spark.storage import Storage, open_storage

log = logging.getLogger(__name__)

# A part has about this many rows, bytes of rows, and bytes of kept answers.
_PART_ROWS, _PART_BYTES, _PART_STORE_BYTES = 200_000, 64_000_000, 128_000_000
_MOST_PARTS = 4_096
# A bucket may be a part if it has at most this many times as much: parts are the parallelism of a
# lookup, also of one that leaves nothing to be asked.
_LARGEST_BUCKET = 4


@dataclass(frozen=True)
class Lookup:
    """What a lookup needs.

    storage: of the run folder
    rows: the source's needed columns
    now: in seconds since the epoch
    begin: is called before the first file is written, and may raise an error
    task_type: does the work on a part
    """

    config: Config
    columns: SourceColumns
    storage: Storage
    aws: AwsSettings
    rows: DataFrame
    prepare_id: str
    now: float
    begin: Callable[[], object] = lambda: None
    task_type: type[LookupTask] = LookupTask

    @contextmanager
    def looked_up(
        self, size: SourceSize, progress: TaskProgress, cutter: PrepareTask | None = None
    ) -> Iterator[Looked]:
        """Provide the rows that go on; they are on disk until the block ends.

        size: of all rows
        cutter: the work on buckets: a range of hashes of which nearly all rows are asked is cut at
            once. Without effect if buckets are too large for a lookup, or too few for the store
        Runs one Spark action that reads the source, unless the config or an empty store leaves
        nothing to look up. Raises AnswerStoreError if the store is damaged.
        """
        answers = self.config.answers
        files: tuple[AnswersFile, ...] = ()
        if answers is not None and answers.is_read:
            store = open_storage(answers.uri, self.aws)
            files = pin_files(store)
        if answers is None or not files or not size.records:
            yield Looked(size, is_read=answers is not None and answers.is_read)
            return
        rules = rules_of(self.config, self.now)
        of_store, of_rows = parts_of_store(files), parts_of_rows(size)
        parts = min(_MOST_PARTS, max(of_store, of_rows))
        if cutter is not None:
            if of_store <= cutter.buckets and of_rows <= cutter.buckets * _LARGEST_BUCKET:
                parts = cutter.buckets
            else:
                cutter = None
        opened, streamed = split_files(files, parts)
        colliding: frozenset[int] = frozenset()
        while True:
            progress.expect(size.records, parts, shuffles_of(self.columns, self.config))
            task = self.task_type(
                *(self.config, self.columns, self.storage, store, opened, parts),
                *(self.prepare_id, rules, bounds_of(self.config), colliding, cutter),
            )
            self.begin()
            with kept_on_disk(self._by_range(parts, task, streamed)) as done:
                found = done.where(F.col(SUMMARY).isNotNull()).select(SUMMARY).collect()
                summaries = [json.loads(row[0]) for row in found]
                new = frozenset(h for one in summaries for h in one["collisions"]) - colliding
                if not new:
                    yield self._looked(size, done, summaries, parts)
                    return
            # Two bodies of the source have one hash, and their record ids depend on which of them
            # are asked: all of them are.
            colliding |= new

    def _by_range(
        self, parts: int, task: LookupTask, streamed: tuple[AnswersFile, ...]
    ) -> DataFrame:
        """Return the rows that go on, and a row for each part with its summary."""
        identified = with_ids(*(self.rows, self.columns, self.config, self.aws), has_repeats=True)
        together = identified
        if streamed:
            together = with_answers(self.rows.sparkSession, identified, task.store, streamed)
        by_range = repartition_by_range(together, parts)
        fields = [T.StructField(f.name, f.dataType) for f in identified.schema.fields]
        schema = T.StructType([*fields, T.StructField(SUMMARY, T.StringType())])
        return by_range.mapInArrow(task, schema)

    def _looked(
        self, size: SourceSize, done: DataFrame, summaries: list[dict[str, Any]], parts: int
    ) -> Looked:
        units = tuple(KeptRows(**unit) for one in summaries for unit in one["units"])
        why: Counter[str] = Counter()
        for one in summaries:
            why.update(one["why"])
        return Looked.of(
            size,
            rows=sum(one["rows"] for one in summaries),
            kept=tuple(sorted(units, key=lambda unit: unit.unit)),
            why=why,
            going_on=done.where(F.col(SUMMARY).isNull()).drop(SUMMARY),
            cut=[one["bucket"] for one in summaries if one["bucket"] is not None],
            buckets=parts,
        )


def parts_of_store(files: Sequence[AnswersFile]) -> int:
    """Return how many parts there must be so that no task reads too much of the store."""
    by_size = math.ceil(sum(file.size for file in files) / _PART_STORE_BYTES)
    _, streamed = split_files(files, max(1, by_size))
    return min(_MOST_PARTS, max(1, by_size, parts_for(streamed)))


def parts_of_rows(size: SourceSize) -> int:
    """Return how many parts there must be so that no task gets too many rows.

    Like all numbers of parts, it depends on the data, and never on the cluster.
    """
    by_bytes = max(size.row_bytes, size.line_bytes) / _PART_BYTES
    return math.ceil(max(size.records / _PART_ROWS, by_bytes))
