"""The result of a lookup in the store of answers: which rows have an answer, and which are asked.

The number of buckets is planned for all rows if nearly all of them are asked. So it is known before
the lookup, and the tasks of the lookup can cut their rows into shards at once. Whether they have is
not to be seen in the shards: a bucket is a range of hashes in any case, and its rows are the same.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields, replace

from pyspark.sql import DataFrame

from bedrock_spark.answers.lookup import NEW
from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.shards.plan import Bounds, SourceSize, plan_buckets
from bedrock_spark.spark.prepare.lookup_task import NEARLY_ALL
from bedrock_spark.spark.prepare.task import Summaries


@dataclass(frozen=True)
class Looked:
    """The result of a lookup.

    size: of the rows that go on
    rows: those that go on, with hashes; None if there was no lookup
    kept: the units of rows whose answers were kept
    why: rows that are asked by why no kept answer was used
    is_read: whether the config says to look up
    cut: the summaries of the buckets whose rows were cut into shards already
    buckets: how many buckets these are of
    """

    size: SourceSize
    rows: DataFrame | None = None
    kept: tuple[KeptRows, ...] = ()
    why: Counter[str] = field(default_factory=Counter)
    is_read: bool = False
    cut: Summaries = field(default_factory=list)
    buckets: int = 0

    @classmethod
    def of(
        cls,
        size: SourceSize,
        rows: int,
        kept: tuple[KeptRows, ...],
        why: Counter[str],
        going_on: DataFrame,
        cut: Summaries,
        buckets: int,
    ) -> Looked:
        """Return the result of a lookup of a number of rows. size: of all rows, estimated"""
        left = rows - sum(unit.rows for unit in kept) - sum(int(bucket["rows"]) for bucket in cut)
        going = _scaled(size, left, size.records)
        return cls(going, going_on, kept, why, is_read=True, cut=cut, buckets=buckets)

    @property
    def kept_rows(self) -> int:
        """Return the number of rows whose answers were kept."""
        return sum(unit.rows for unit in self.kept)

    @property
    def asked_rows(self) -> int:
        """Return the number of rows whose answers were not kept: also those that are rejected."""
        return self.size.records + sum(int(bucket["rows"]) for bucket in self.cut)

    @property
    def asks_nearly_all(self) -> bool:
        """Tell whether buckets are planned for all rows."""
        return self.asked_rows >= NEARLY_ALL * (self.asked_rows + self.kept_rows)

    def planned_buckets(self, asked: SourceSize, bounds: Bounds) -> int:
        """Return the number of buckets. asked: the size of the records that are asked"""
        if self.rows is None or not self.asks_nearly_all:
            return plan_buckets(asked, bounds)
        rows = self.asked_rows + self.kept_rows
        return buckets_of_all(_scaled(asked, rows, self.asked_rows), bounds)

    def why_asked(self, asked: int) -> dict[str, int]:
        """Return the rows that are asked by why no kept answer was used; none without a lookup.

        asked: how many rows are asked
        """
        if not self.is_read:
            return {}
        others = {reason: rows for reason, rows in self.why.items() if reason != NEW}
        new = max(0, asked - sum(others.values()))
        return others | ({NEW: new} if new else {})


def buckets_of_all(size: SourceSize, bounds: Bounds) -> int:
    """Return the number of buckets for all rows, such that nearly all of them are enough, too.

    A bucket of nearly all its rows also has as many records as a batch job must have.
    """
    least = math.ceil(bounds.min_records / NEARLY_ALL)
    return plan_buckets(size, replace(bounds, min_records=min(least, bounds.max_records)))


def _scaled(size: SourceSize, rows: int, of_rows: int) -> SourceSize:
    """Return the size of other rows which are like the rows of a size.

    rows, of_rows: how many these and those are
    """
    if rows == of_rows:
        return size
    names = [each.name for each in fields(size)]
    return SourceSize(**{name: getattr(size, name) * rows // max(1, of_rows) for name in names})
