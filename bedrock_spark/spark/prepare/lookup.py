"""Look the source up in the store of answers, before its rows are cut into shards.

The rows are shuffled into ranges of the hash of their body, and each task reads its range of the
store. Rows whose answers are kept are written at once; only the others go on to the buckets. The
list of the store's files is pinned once, so a task that is repeated finds the same answers.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.answers.lookup import NEW
from bedrock_spark.answers.store import AnswersFile, pin_files
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.invoke.kept_calls import rules_of
from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.columns import HASH, KEY, TIE
from bedrock_spark.spark.prepare.lookup_task import SUMMARY, LookupTask
from bedrock_spark.spark.prepare.shuffle import shuffles_of, with_ids
from bedrock_spark.spark.prepare.source import kept_on_disk
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.streamed_answers import parts_for, split_files, with_answers
from bedrock_spark.spark.prepare.task import bounds_of
from bedrock_spark.spark.tasks import TaskProgress
from bedrock_spark.storage import Storage, open_storage

log = logging.getLogger(__name__)

# A part has about this many rows, bytes of rows, and bytes of kept answers.
_PART_ROWS, _PART_BYTES, _PART_STORE_BYTES = 200_000, 64_000_000, 128_000_000
_MOST_PARTS = 4_096


@dataclass(frozen=True)
class Looked:
    """The result of a lookup.

    rows: those that go on, with hashes; None if there was no lookup
    size: of the rows that go on
    kept: the units of rows whose answers were kept
    why: rows that go on by why no kept answer was used
    is_read: whether the config says to look up
    """

    size: SourceSize
    rows: DataFrame | None = None
    kept: tuple[KeptRows, ...] = ()
    why: Counter[str] = field(default_factory=Counter)
    is_read: bool = False

    @property
    def kept_rows(self) -> int:
        """Return the number of rows whose answers were kept."""
        return sum(unit.rows for unit in self.kept)

    def why_asked(self, asked: int) -> dict[str, int]:
        """Return the rows that are asked by why no kept answer was used; none without a lookup.

        asked: how many rows are asked
        """
        if not self.is_read:
            return {}
        others = {reason: rows for reason, rows in self.why.items() if reason != NEW}
        new = max(0, asked - sum(others.values()))
        return others | ({NEW: new} if new else {})


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
    def looked_up(self, size: SourceSize, progress: TaskProgress) -> Iterator[Looked]:
        """Provide the rows that go on; they are on disk until the block ends.

        size: of all rows
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
        parts = parts_of(size, sum(file.size for file in files))
        _, small = split_files(files, parts)
        parts = min(_MOST_PARTS, max(parts, parts_for(small)))
        opened, streamed = split_files(files, parts)
        colliding: frozenset[int] = frozenset()
        while True:
            progress.expect(size.records, parts, shuffles_of(self.columns, self.config))
            task = self.task_type(
                *(self.config, self.columns, self.storage, store, opened, parts),
                *(self.prepare_id, rules, bounds_of(self.config), colliding),
            )
            self.begin()
            with kept_on_disk(self._by_range(parts, task, streamed)) as done:
                found = done.where(F.col(SUMMARY).isNotNull()).select(SUMMARY).collect()
                summaries = [json.loads(row[0]) for row in found]
                new = frozenset(h for one in summaries for h in one["collisions"]) - colliding
                if not new:
                    yield self._looked(size, done, summaries)
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
        by_range = together.repartition(parts, route(F.col(HASH), parts))
        fields = [T.StructField(f.name, f.dataType) for f in identified.schema.fields]
        schema = T.StructType([*fields, T.StructField(SUMMARY, T.StringType())])
        return by_range.sortWithinPartitions(HASH, KEY, TIE).mapInArrow(task, schema)

    def _looked(self, size: SourceSize, done: DataFrame, summaries: list[dict[str, Any]]) -> Looked:
        rows = sum(one["rows"] for one in summaries)
        units = tuple(KeptRows(**unit) for one in summaries for unit in one["units"])
        kept = tuple(sorted(units, key=lambda unit: unit.unit))
        why: Counter[str] = Counter()
        for one in summaries:
            why.update(one["why"])
        left = rows - sum(unit.rows for unit in kept)
        going_on = done.where(F.col(SUMMARY).isNull()).drop(SUMMARY)
        return Looked(_part_of(size, left), going_on, kept, why, is_read=True)


def _part_of(size: SourceSize, records: int) -> SourceSize:
    """Return the size of some of the records, as if they were like all."""
    share = records / max(1, size.records)
    return replace(
        size,
        records=records,
        line_bytes=int(size.line_bytes * share),
        squares=int(size.squares * share),
        row_bytes=int(size.row_bytes * share),
        row_squares=int(size.row_squares * share),
    )


def parts_of(size: SourceSize, store_bytes: int) -> int:
    """Return the number of parts of a lookup. It depends on the data, and never on the cluster."""
    wanted = max(
        size.records / _PART_ROWS,
        max(size.row_bytes, size.line_bytes) / _PART_BYTES,
        store_bytes / _PART_STORE_BYTES,
    )
    return min(_MOST_PARTS, max(1, math.ceil(wanted)))


def route(hashed: Column, parts: int) -> Column:
    """Return an expression that Spark's hash partitioning puts into the part of a hash.

    Spark has no partitioning by a number, but by the murmur3 of a number. So each part has a number
    that its murmur3 puts there. The part is computed as `part_of` does in hash_ranges.py.
    """
    numbers = _numbers_of(parts)
    upper = F.shiftright(hashed, 32) + F.lit(1 << 31)
    part = F.shiftright(upper * F.lit(parts), 32)
    return F.element_at(F.lit(numbers), (part + 1).cast("int")).cast("bigint")


def _numbers_of(parts: int) -> list[int]:
    """Return a number for each part that Spark's hash partitioning puts there."""
    numbers: dict[int, int] = {}
    start, step = 0, max(1_000, 4 * parts)
    while len(numbers) < parts:
        tried = np.arange(start, start + step, dtype=np.int64)
        for number, part in zip(tried.tolist(), buckets_of(tried, parts).tolist(), strict=True):
            numbers.setdefault(part, number)
        start += step
    return [numbers[part] for part in range(parts)]
