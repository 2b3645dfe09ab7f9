"""If a lookup has cut rows into a wrong number of buckets, they are looked up and cut once more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pyspark.sql import DataFrame

from bedrock_spark.run_folder.manifest import KeptRows
from bedrock_spark.shards.plan import Bounds, SourceSize
from bedrock_spark.spark.prepare import cut_rows as cutting
from bedrock_spark.spark.prepare.cut_rows import cut_rows
from bedrock_spark.spark.prepare.looked import Looked, buckets_of_all
from bedrock_spark.spark.prepare.lookup import Lookup
from bedrock_spark.spark.prepare.lookup_task import NEARLY_ALL
from bedrock_spark.spark.prepare.repartitioning import Repartitioning
from bedrock_spark.spark.tasks import TaskProgress
from tests.unit.fakes import make_config

ROWS = 80
NO_PROGRESS = cast(TaskProgress, None)
GOING_ON = cast(DataFrame, object())


class Fake:
    """A lookup in which `asked` of 80 rows have no answer, and the work on the buckets.

    estimated: the buckets that the size of all rows needs, by its estimate
    needed: those that the rows need which are asked
    begun: into how many buckets the rows were cut each time; 0 if not by the lookup
    """

    config = make_config("/no/folder")

    def __init__(self, asked: int, estimated: int, needed: int) -> None:
        self.asked, self.estimated, self.needed = asked, estimated, needed
        self.begun: list[int] = []

    def begin(self) -> None:
        raise AssertionError("the real work begins")

    def task(self, buckets: int, is_by_range: bool) -> int:
        assert is_by_range
        return buckets

    @contextmanager
    def looked_up(self, size: SourceSize, progress: object, cutter: int | None) -> Iterator[Looked]:
        self.begun.append(cutter or 0)
        kept = (KeptRows("kept-00000-00", ROWS - self.asked, 1, 1),)
        cut: list[dict[str, Any]] = [{"bucket": 0, "rows": self.asked}] if cutter else []
        assert size.records == ROWS
        left = SourceSize(0 if cut else self.asked, 0)
        yield Looked(left, GOING_ON, kept, is_read=True, cut=cut, buckets=cutter or 5)

    def write_buckets(self, looked: Looked, progress: object, check: Any, begin: Any) -> Any:
        summaries = looked.cut or [{"bucket": 0, "rows": self.asked}]
        check(summaries)
        return summaries, self.needed


@pytest.mark.parametrize(
    ("asked", "estimated", "needed", "begun"),
    [
        (80, 4, 4, [4]),
        (70, 4, 4, [4]),
        (80, 4, 3, [4, 3]),  # the estimate was wrong
        (60, 4, 3, [4, 0]),  # fewer are asked than the first rows made expect
        (60, 4, 4, [4]),  # but as many buckets as all rows need are right for them, too
    ],
)
def test_rows_are_cut_until_the_number_of_buckets_fits(
    monkeypatch: pytest.MonkeyPatch, asked: int, estimated: int, needed: int, begun: list[int]
) -> None:
    fake = Fake(asked, estimated, needed)
    monkeypatch.setattr(cutting, "buckets_of_all", lambda size, bounds: estimated)
    checked: list[int] = []
    with cut_rows(
        cast(Lookup, fake),
        cast(Repartitioning, fake),
        SourceSize(ROWS, 0),
        NO_PROGRESS,
        lambda looked, summaries: checked.append(looked.asked_rows),
    ) as (looked, summaries):
        assert sum(bucket["rows"] for bucket in summaries) == looked.asked_rows == asked
    assert fake.begun == begun
    assert checked == [asked] * len(begun)


def test_a_source_that_changes_each_time_ends_with_the_rows_that_go_on() -> None:
    class Changing(Fake):
        def write_buckets(self, *arguments: Any) -> Any:
            self.needed += 1
            return super().write_buckets(*arguments)

    fake = Changing(80, 4, 4)
    with cut_rows(
        cast(Lookup, fake), cast(Repartitioning, fake), SourceSize(ROWS, 0), NO_PROGRESS
    ) as (looked, _):
        assert looked.cut == []
    assert fake.begun[0] > 0
    assert fake.begun[-1] == 0


def test_no_lookup_cuts_if_the_rows_that_are_asked_are_needed() -> None:
    fake = Fake(80, 4, 4)
    with cut_rows(
        cast(Lookup, fake),
        cast(Repartitioning, fake),
        SourceSize(ROWS, 0),
        NO_PROGRESS,
        keeps_rows=True,
    ):
        assert fake.begun == [0]


@pytest.mark.parametrize("records", [100, 1_000, 20_000, 1_000_000])
@pytest.mark.parametrize("line_bytes", [300, 40_000, 2_000_000])
@pytest.mark.parametrize("least", [1, 100, 2_000])
def test_nearly_all_rows_fill_their_buckets(records: int, line_bytes: int, least: int) -> None:
    """A shard with fewer records than a job must have would be asked one by one."""
    bounds = Bounds(50_000, 200_000_000, least)
    buckets = buckets_of_all(SourceSize(records, records * line_bytes), bounds)
    mean = NEARLY_ALL * records / buckets
    assert buckets == 1 or mean >= least + 3 * math.sqrt(least)
