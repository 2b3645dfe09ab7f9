"""Look the rows of a source up, and cut those that are asked into shards.

There are two ways, and both make the same shards. The tasks of the lookup cut their own rows: that
saves a shuffle, and needs the number of buckets before the lookup. Or the rows that are asked are
shuffled once more, into as many buckets as they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bedrock_spark.shards.plan import SourceSize
from bedrock_spark.spark.prepare.looked import Looked, buckets_of_all
from bedrock_spark.spark.prepare.lookup import Lookup
from bedrock_spark.spark.prepare.repartitioning import Repartitioning
from bedrock_spark.spark.prepare.task import Summaries, bounds_of
from bedrock_spark.spark.tasks import TaskProgress

# How often the tasks of a lookup may cut rows, of which the first time is by an estimate.
_MOST_TRIALS = 2


@contextmanager
def cut_rows(
    lookup: Lookup,
    repartitioning: Repartitioning,
    size: SourceSize,
    progress: TaskProgress,
    check: Callable[[Looked, Summaries], None] = lambda looked, summaries: None,
    *,
    keeps_rows: bool = False,
) -> Iterator[tuple[Looked, Summaries]]:
    """Provide what was looked up, and the summaries of the buckets of the rows that are asked.

    size: of all rows, estimated
    check: is called with the summaries before others replace them, and may raise an error
    keeps_rows: whether the block needs all rows that are asked: so no lookup cuts them
    """
    buckets = 0 if keeps_rows else buckets_of_all(size, bounds_of(repartitioning.config))
    for trials_left in range(_MOST_TRIALS, -1, -1):
        cutter = repartitioning.task(buckets, True) if buckets else None
        with lookup.looked_up(size, progress, cutter) as looked:
            summaries, needed = repartitioning.write_buckets(
                looked, progress, lambda written: check(looked, written), lookup.begin
            )
            if not looked.cut or needed == looked.buckets:
                yield looked, summaries
                return
        # The lookup has cut rows into another number of buckets than they need: the estimate of
        # their size was wrong, or fewer are asked than the first of them made expect. At last none
        # may cut, and then the rows are there to be cut otherwise.
        is_known = looked.asks_nearly_all and trials_left > 1
        buckets = needed if is_known else 0
