"""Run a function once per unit of work, each in a task of its own, and return what they return.

`spark.range(0, n, 1, n)` makes one task per unit without a shuffle, on classic Spark and over Spark
Connect alike. A unit's result is one JSON value and must be small.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from pyspark.sql import SparkSession

Unit = TypeVar("Unit")


def run_per_unit(
    spark: SparkSession, units: Sequence[Unit], work: Callable[[Unit], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the result of every unit, in no particular order. Runs one Spark action."""
    if not units:
        return []

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                result = json.dumps(work(units[index]), ensure_ascii=False)
                yield pa.RecordBatch.from_pydict({"result": [result]})

    count = len(units)
    rows = spark.range(0, count, 1, count).mapInArrow(task, "result string").collect()
    return [json.loads(row[0]) for row in rows]
