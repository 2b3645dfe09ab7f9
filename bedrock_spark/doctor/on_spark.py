"""What only Spark can tell: source, key, place of the results, and the machines of the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bedrock_spark.doctor.asking import UnansweredError
from bedrock_spark.doctor.disk import disk_findings
from bedrock_spark.doctor.findings import Finding, error, ok, warning
from bedrock_spark.doctor.machines import driver_findings, executor_findings
from bedrock_spark.doctor.probes import Probe
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import free_space

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bedrock_spark.spark.examine import KeySample


def spark_probes(spark: SparkSession, open_run: Callable[[], Run]) -> list[Probe]:
    """Return the probes of a session.

    open_run: returns the run of the config, without beginning it
    """
    return [
        Probe("source", "the source", lambda: _source(spark, open_run)),
        Probe("results", "the place of the results", lambda: _results(spark, open_run)),
        Probe("versions", "the driver", lambda: _driver(spark)),
        Probe("versions", "the executors", lambda: _executors(spark)),
        Probe("versions", "the run folder on the executors", lambda: _shared(spark, open_run)),
        Probe("disk", "the folders of Spark", lambda: _folders(spark)),
    ]


def _source(spark: SparkSession, open_run: Callable[[], Run]) -> Iterator[Finding]:
    from bedrock_spark.spark.examine import read_sample
    from bedrock_spark.spark.prepare.source import place_of

    run = open_run()
    source = run.config.source
    columns, keys = read_sample(spark, run)
    yield ok(f"{place_of(source)}: can be read, and has the {columns} columns that are needed")
    yield key_finding(source.key, keys, on_duplicate=source.on_duplicate_key)


def _results(spark: SparkSession, open_run: Callable[[], Run]) -> Iterator[Finding]:
    from bedrock_spark.spark.examine import kept_columns
    from bedrock_spark.spark.keep.copy import check_copy
    from bedrock_spark.spark.sink import check_sink

    run = open_run()
    try:
        kept = kept_columns(spark, run)
    except ConfigError:
        raise UnansweredError("the columns of the source are not known") from None
    check_sink(spark, run, kept)
    place = run.config.results.place
    yield ok("results: in the run folder only" if place is None else f"results: {place} takes them")
    check_copy(spark, run.config)
    answers = run.config.answers
    if answers is not None and answers.has_copy:
        yield ok(f"answers.table: {answers.table} takes the kept answers")


def key_finding(key: tuple[str, ...], sample: KeySample | None, *, on_duplicate: str) -> Finding:
    """Return what the keys of some rows say of all.

    on_duplicate: as the config has it
    """
    if sample is None:
        return ok("source.key: is not set; rows are joined by their number")
    name = f"source.key = [{', '.join(key)}]"
    if sample.rows == 0:
        return warning("source: has no row", "source: {path: ANOTHER-PATH}")
    if sample.nulls:
        return warning(
            f"{name}: is null in {sample.nulls:,} of {sample.rows:,} rows, which are rejected",
            "source: {key: [ANOTHER-COLUMN]}",
        )
    if not sample.repeated:
        return ok(f"{name}: is unique in {sample.rows:,} rows")
    what = f"{name}: {sample.repeated:,} of {sample.rows:,} rows repeat a key"
    if on_duplicate == "first":
        return warning(f"{what}; the first row of each key is asked")
    fix = "source: {on_duplicate_key: first}    # or key: with one more column"
    return error(f"{what}, and prepare refuses them", fix)


def _driver(spark: SparkSession) -> Iterator[Finding]:
    from bedrock_spark.spark.examine import this_machine, versions_of

    versions = versions_of(spark)
    yield from driver_findings(versions.spark, versions.pyspark, versions.java, this_machine())


def _folders(spark: SparkSession) -> Iterator[Finding]:
    from bedrock_spark.spark.examine import local_folders

    known = {str(folder) for folder, _ in free_space()}
    places = [(folder, free) for folder, free in local_folders(spark) if folder not in known]
    yield from disk_findings(places, "this machine")


def _executors(spark: SparkSession) -> Iterator[Finding]:
    from bedrock_spark.spark.examine import executors_of, this_machine
    from bedrock_spark.spark.probe import is_local

    if is_local(spark):
        yield ok("executors: Spark runs in one process on this machine")
        return
    before = time.time()
    found = executors_of(spark)
    yield from executor_findings(this_machine(), found, before, time.time())


def _shared(spark: SparkSession, open_run: Callable[[], Run]) -> Iterator[Finding]:
    from bedrock_spark.spark.probe import check_shared, is_local

    if is_local(spark):
        return
    run = open_run()
    check_shared(spark, run.storage)
    yield ok(f"executors: read and write the run folder {run.storage.uri}")
