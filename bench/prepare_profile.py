"""Measure where the seconds of prepare go: the same work, stopped after each step.

    python bench/prepare_profile.py [--rows 600000]

Spark works on all steps at once. So the cost of a step is the time of all steps up to it, minus the
time of all steps before it; the figure is the median of several rounds. The Python of a task is
profiled separately, in one process, on the batches of one bucket.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from common.corpus import write_corpus
from common.figures import report
from common.prepared import bench_config, prepare_corpus, seconds
from common.spark_session import bench_session
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.families.request_body import body_template
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.shards.plan import plan_buckets
from bedrock_spark.spark.prepare.columns import HASH
from bedrock_spark.spark.prepare.shuffle import repartition_by_hash, with_ids
from bedrock_spark.spark.prepare.size_estimate import estimate_size
from bedrock_spark.spark.prepare.source import choose_columns, read_source
from bedrock_spark.spark.prepare.task import PrepareTask, bounds_of

ROUNDS = 3
# The parts of a task, and the function of each in the profile.
PARTS = {
    "whole": "__call__",
    "values out of Arrow": "column_values",
    "ids": "identify",
    "render": "render_lines",
    "cut into shards": "_release",
    "lines to disk and sha256": "write",
    "upload": "upload",
}


def only_count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Receive the rows from Spark, and only count them."""
    rows = sum(batch.num_rows for batch in batches)
    yield pa.RecordBatch.from_pydict({"rows": [rows]})


def discard(df: DataFrame) -> None:
    df.write.format("noop").mode("overwrite").save()


def to_python(df: DataFrame) -> None:
    df.mapInArrow(only_count, "rows long").collect()


def steps(spark: SparkSession, config: Config, corpus: Path, home: Path) -> dict[str, float]:
    """Return the seconds of all steps up to each step."""
    template = body_template(config)
    source = read_source(spark, config.source)
    columns = choose_columns(source, config.source, template)
    size = estimate_size(source, template, columns.kept)
    buckets = plan_buckets(size, bounds_of(config))
    hashed = with_ids(source, columns, config, AwsSettings(), has_repeats=False)
    work: dict[str, Callable[[], object]] = {
        "guess": lambda: estimate_size(source, template, columns.kept),
        "read": lambda: discard(source.select(*columns.needed)),
        "hash": lambda: discard(hashed),
        "shuffle": lambda: discard(hashed.repartition(buckets, HASH)),
        "sort": lambda: discard(repartition_by_hash(hashed, buckets)),
        "hand over": lambda: to_python(repartition_by_hash(hashed, buckets)),
        "all": lambda: prepare_corpus(spark, corpus, home / "all"),
    }
    rounds = [{name: seconds(step) for name, step in work.items()} for _ in range(ROUNDS + 1)]
    return {name: statistics.median(r[name] for r in rounds[1:]) for name in work}


def profile_task(spark: SparkSession, config: Config) -> tuple[pstats.Stats, int]:
    """Profile the task of one bucket in this process; return the profile and the rows."""
    source = read_source(spark, config.source)
    columns = choose_columns(source, config.source, body_template(config))
    buckets = 12
    hashed = with_ids(source, columns, config, AwsSettings(), has_repeats=False)
    batches = _first_bucket(repartition_by_hash(hashed, buckets), buckets)
    task = PrepareTask(
        *(config, columns, open_run(config, SystemClock()).storage, AwsSettings()),
        *(buckets, "profile"),
    )
    list(task(iter(batches)))  # warm-up
    profile = cProfile.Profile()
    profile.runcall(lambda: list(task(iter(batches))))
    return pstats.Stats(profile), sum(b.num_rows for b in batches)


def _first_bucket(df: DataFrame, buckets: int) -> list[pa.RecordBatch]:
    of_first = df.where(f"pmod(hash({HASH}), {buckets}) = 0")
    bucket = of_first.toArrow() if hasattr(df, "toArrow") else None
    assert bucket is not None, "needs Spark 4"
    return list(bucket.to_batches(max_chunksize=10_000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as name:
        home = Path(name)
        write_corpus(home / "corpus", rows)
        with bench_session() as spark:
            config = bench_config(home / "corpus", home / "run")
            before = 0.0
            for step, total in steps(spark, config, home / "corpus", home).items():
                cost = total if step == "guess" else total - before
                report(f"prepare_step_{step}", cost, "s", None, "lower", up_to_here=total)
                before = before if step == "guess" else total
            _report_task(*profile_task(spark, config))


def _report_task(stats: pstats.Stats, rows: int) -> None:
    for part, function in PARTS.items():
        part_seconds = max(
            value[3]
            for (file, _, name), value in stats.stats.items()  # type: ignore[attr-defined]
            if name == function and "bedrock_spark" in file
        )
        report(f"prepare_task_{part}", part_seconds, "s", None, "lower", rows=rows)


if __name__ == "__main__":
    main()
