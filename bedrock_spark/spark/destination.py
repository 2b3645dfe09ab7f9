"""What is where the results will be published, and whether it may be overwritten.

Overwriting deletes. So what this package did not write is only replaced if the config says so
(`results.replace`). What it did write has a mark: a file beside the data that Spark's readers
ignore, or a property of the table. The run folder notes every publication too (published.json),
which replaces the mark if a process died before it could write it, or if the place can have none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

from pyspark.sql import SparkSession

from bedrock_spark._version import __version__
from bedrock_spark.config import Config, ResultsConfig
from bedrock_spark.config.overlaps import (
    NamedPlace,
    named_folders,
    named_results,
    named_source,
    overlap_of_results,
)
from bedrock_spark.config.places import place_of_path, place_of_table
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.published import WRITING, Publications
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.errors import SPARK_ERRORS, config_errors, explain
from bedrock_spark.spark.folder import MOST, OWN_PREFIX, count_files, open_folder

log = logging.getLogger(__name__)

OVERWRITE = "overwrite"
MARK_FILE = f"{OWN_PREFIX}.json"
MARK_PROPERTY = "bedrock_spark.run_id"


def place_name(spark: SparkSession, config: ResultsConfig) -> str | None:
    """Return the place of the results in one form, or None if the config names none."""
    named = named_results(config)
    return str(_in_session(spark, named).place) if named is not None else None


def refuse_overlaps(spark: SparkSession, config: Config) -> None:
    """Raise ConfigError if the results would be written into the source or a folder of the run.

    The config is checked alone before. This knows the session's catalog, and where tables are.
    """
    written = named_results(config.results)
    if written is None:
        return
    source = named_source(config.source)
    folders = named_folders(config.run_uri, config.targets, config.answers)
    others = [*([source] if source else []), *folders]
    for mine in places_of(spark, written):
        for other in others:
            for theirs in places_of(spark, other):
                message = overlap_of_results(mine, theirs)
                if message is not None:
                    raise ConfigError(message)


def places_of(spark: SparkSession, named: NamedPlace) -> Iterator[NamedPlace]:
    """Yield a place; for a table also the folder that it is in, if the catalog tells it."""
    yield _in_session(spark, named)
    if not named.is_table:
        return
    with config_errors(str(named)):
        is_there = spark.catalog.tableExists(named.value)
        about = spark.sql(f"DESCRIBE TABLE EXTENDED {named.value}").collect() if is_there else []
    for row in about:
        if row[0] == "Location" and row[1]:
            yield replace(named, place=place_of_path(str(row[1])))


def _in_session(spark: SparkSession, named: NamedPlace) -> NamedPlace:
    if not named.is_table:
        return named
    catalog, database = spark.catalog.currentCatalog(), spark.catalog.currentDatabase()
    return replace(named, place=place_of_table(named.value, catalog, database))


def refuse_foreign(spark: SparkSession, run: Run) -> None:
    """Raise ConfigError if publishing would overwrite what this package did not write.

    The message says what is there, and shows nothing of its content. For a table with rows a Spark
    action runs.
    """
    config, named = run.config.results, named_results(run.config.results)
    if named is None or config.mode != OVERWRITE or config.replace:
        return
    with config_errors(str(named)):
        found = _found(spark, config)
        if found is None or _is_own(spark, run):
            return
    raise ConfigError(
        f"{named}: {found} there that this package did not write, and results.mode: overwrite "
        "would delete them. Name an empty place, or set results.replace: true to replace them"
    )


def _found(spark: SparkSession, config: ResultsConfig) -> str | None:
    """Return what is there, in words; None if nothing is."""
    if config.table is not None:
        has_rows = exists(spark, config) and not spark.table(config.table).isEmpty()
        return "a table with rows is" if has_rows else None
    files = count_files(spark, config.path or "")
    if files <= 1:
        return "1 file is" if files else None
    return f"{files:,}{' or more' if files == MOST else ''} files are"


def _is_own(spark: SparkSession, run: Run) -> bool:
    note = Publications(run.storage).at(place_name(spark, run.config.results) or "")
    # A place that was marked and has no mark now was replaced by somebody else.
    has_no_mark_to_lose = note is not None and (note.state == WRITING or not note.is_marked)
    if note is not None and note.mode == OVERWRITE and has_no_mark_to_lose:
        return True
    config = run.config.results
    return has_mark(spark, config.place or "", is_table=config.table is not None)


def has_mark(spark: SparkSession, place: str, *, is_table: bool) -> bool:
    """Tell whether a path or a table has the mark of this package."""
    if is_table:
        rows = spark.sql(f"SHOW TBLPROPERTIES {place}").collect()
        return any(row[0] == MARK_PROPERTY for row in rows)
    folder = open_folder(spark, place)
    return folder is not None and folder.has(MARK_FILE)


def exists(spark: SparkSession, config: ResultsConfig) -> bool:
    """Tell whether the table exists, or the path has files."""
    if config.table is not None:
        return spark.catalog.tableExists(config.table)
    return config.path is not None and count_files(spark, config.path, most=1) > 0


def mark(spark: SparkSession, run: Run, place: str) -> bool:
    """Mark a path or a table as written by this package; tell whether it could be marked."""
    try:
        if run.config.results.table is not None:
            spark.sql(f"ALTER TABLE {place} SET TBLPROPERTIES ('{MARK_PROPERTY}'='{run.run_id}')")
            return True
        folder = open_folder(spark, place)
        if folder is None:
            return False
        folder.write(MARK_FILE, _mark_of(run))
    except SPARK_ERRORS as exc:
        # The results are there. The run folder notes that they are, which serves this run.
        why = explain(exc).text
        log.warning("run %s: its published results could not be marked: %s", run.run_id, why)
        return False
    return True


def _mark_of(run: Run) -> bytes:
    values = {"run_id": run.run_id, "run_uri": run.storage.uri, "bedrock_spark": __version__}
    return json.dumps(values, indent=1).encode()
