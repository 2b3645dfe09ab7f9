"""Publish results where others read: replace what is there, append to it, or merge into it by key.

Replacing and merging are idempotent by nature. Appending is not, so the run folder keeps where a
run's rows were appended: the intent before, that it is done after. Only a crash between the two
leaves open whether they were; Delta Lake then tells by the run's id, elsewhere rows may be appended
twice. docs/results.md says so too.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reconcile import REJECTED
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import quoted
from bedrock_spark.spark.results import results
from bedrock_spark.storage import Storage

_DELTA = "delta"
_WRITING, _DONE = "writing", "done"
# Delta Lake writes one transaction of an id and version once. A run's rows are appended once.
_TRANSACTION = 1


def publish(spark: SparkSession, run: Run, manifest: RunManifest) -> str | None:
    """Write results where the config says; return where, if anywhere. Runs a Spark action.

    Raises RunFolderError where rows of this run that have changed since were appended there before.
    """
    config = run.config.results
    place = config.path or config.table
    if place is None:
        return None
    df = results(spark, run, manifest)
    if config.mode == "append":
        _append(df, run, place)
    elif config.mode == "merge":
        _merge(spark, df, run, place)
    else:
        _write(df, config, "overwrite")
    return place


def _write(df: DataFrame, config: ResultsConfig, mode: str, **options: Any) -> None:
    writer = df.write.format(config.format).mode(mode).options(**options)
    if config.path is not None:
        writer.save(config.path)
    elif config.table is not None:
        writer.saveAsTable(config.table)


def _append(df: DataFrame, run: Run, place: str) -> None:
    """Append a run's rows, unless they were appended there before."""
    published = _published(run.storage)
    now = _fingerprint(run.storage)
    before = published.get(place)
    if before is not None and before["fingerprint"] != now:
        raise RunFolderError(_changed(run, place, before["state"]))
    if before is not None and before["state"] == _DONE:
        return
    transaction = {"txnAppId": run.run_id, "txnVersion": _TRANSACTION}
    _record(run.storage, published, place, now, _WRITING)
    _write(
        df, run.config.results, "append", **(transaction if _is_delta(run.config.results) else {})
    )
    _record(run.storage, published, place, now, _DONE)


def _changed(run: Run, place: str, state: str) -> str:
    told = "were appended" if state == _DONE else "may have been appended"
    return (
        f"{run.storage.uri}: rows of this run {told} to {place}, and results have changed since. "
        "Appending them again would double rows: delete the run's rows there and "
        f"{layout.PUBLISHED_FILE} in the run folder, or use results.mode: merge"
    )


def _merge(spark: SparkSession, df: DataFrame, run: Run, place: str) -> None:
    """Update rows of known keys, insert the others; not rejected rows, which may share keys."""
    config = run.config.results
    answered = df.where(f"outcome <> '{REJECTED}'")
    if not _exists(spark, config):
        _write(answered, config, "errorifexists")
        return
    target = f"delta.{quoted(place)}" if config.path is not None else place
    view = "bedrock_spark_" + hashlib.sha256(run.run_id.encode()).hexdigest()[:16]
    answered.createOrReplaceTempView(view)
    try:
        spark.sql(merge_statement(target, view, run.config.source.key))
    finally:
        spark.catalog.dropTempView(view)


def merge_statement(target: str, view: str, key: tuple[str, ...]) -> str:
    """Return the SQL that Delta Lake and Iceberg understand; null keys are equal."""
    same = " AND ".join(f"t.{quoted(name)} <=> s.{quoted(name)}" for name in key)
    return (
        f"MERGE INTO {target} AS t USING {view} AS s ON {same} "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def _exists(spark: SparkSession, config: ResultsConfig) -> bool:
    if config.table is not None:
        return spark.catalog.tableExists(config.table)
    try:
        return bool(spark.read.format(config.format).load(config.path).columns)
    except AnalysisException:
        return False  # if it is there after all, the write that follows fails and changes nothing


def _is_delta(config: ResultsConfig) -> bool:
    return config.format.lower() == _DELTA


def _published(storage: Storage) -> dict[str, dict[str, str]]:
    data = storage.read_if_present(layout.PUBLISHED_FILE)
    found: dict[str, dict[str, str]] = json.loads(data) if data is not None else {}
    return found


def _record(
    storage: Storage, published: dict[str, dict[str, str]], place: str, now: str, state: str
) -> None:
    published[place] = {"fingerprint": now, "state": state}
    storage.write(layout.PUBLISHED_FILE, json.dumps(published, indent=1).encode())


def _fingerprint(storage: Storage) -> str:
    """Return a digest that changes when any shard's results do."""
    files = [o for o in storage.list(f"{layout.RESULTS}/") if o.key.endswith(".parquet")]
    told = [(o.key, o.size, o.version) for o in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
