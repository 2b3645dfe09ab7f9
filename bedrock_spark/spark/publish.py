"""Publish the results to a path or table: overwrite it, append to it, or merge into it by key.

Overwriting and merging are idempotent. Appending is not, so the run folder notes every append: an
intent before it (write-ahead), and its completion after it. If a process dies between the two, the
rows may be there or not. The next publish then appends again: Delta Lake skips a transaction that
it has (https://docs.delta.io/kernel/rust/writing/idempotent_writes); in other formats the rows may
be there twice. docs/results.md says so too.
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
from bedrock_spark.schema import quote_name
from bedrock_spark.spark.results import results
from bedrock_spark.storage import Storage

_DELTA = "delta"
_WRITING, _DONE = "writing", "done"
# Delta Lake commits a transaction version of an application once. The application is the run. Its
# rows are appended once, so the version never changes.
_TRANSACTION_VERSION = 1


def publish(spark: SparkSession, run: Run, manifest: RunManifest) -> str | None:
    """Write the results to the config's path or table; return it, or None if there is neither.

    Runs a Spark action. Raises RunFolderError if rows of this run were appended there before and
    the results have changed since.
    """
    config = run.config.results
    destination = config.path or config.table
    if destination is None:
        return None
    df = results(spark, run, manifest)
    if config.mode == "append":
        _append(df, run, destination)
    elif config.mode == "merge":
        _merge(spark, df, run, destination)
    else:
        _write(df, config, "overwrite")
    return destination


def _write(df: DataFrame, config: ResultsConfig, mode: str, **options: Any) -> None:
    writer = df.write.format(config.format).mode(mode).options(**options)
    if config.path is not None:
        writer.save(config.path)
    elif config.table is not None:
        writer.saveAsTable(config.table)


def _append(df: DataFrame, run: Run, destination: str) -> None:
    """Append a run's rows, unless they were appended there before."""
    config = run.config.results
    published = _read_published(run.storage)
    fingerprint = _fingerprint(run.storage)
    last = published.get(destination)
    if last is not None and last["fingerprint"] != fingerprint:
        raise RunFolderError(_append_refusal(run, destination, last["state"]))
    if last is not None and last["state"] == _DONE:
        return
    transaction = {"txnAppId": run.run_id, "txnVersion": _TRANSACTION_VERSION}
    _note(run.storage, published, destination, fingerprint, _WRITING)
    _write(df, config, "append", **(transaction if _is_delta(config) else {}))
    _note(run.storage, published, destination, fingerprint, _DONE)


def _append_refusal(run: Run, destination: str, state: str) -> str:
    were_appended = "were appended" if state == _DONE else "may have been appended"
    return (
        f"{run.storage.uri}: rows of this run {were_appended} to {destination}, and the results "
        "have changed since. To append them again would duplicate rows: delete the run's rows "
        f"there and {layout.PUBLISHED_FILE} in the run folder, or use results.mode: merge"
    )


def _merge(spark: SparkSession, df: DataFrame, run: Run, destination: str) -> None:
    """Update the rows whose key exists there, and insert the others.

    Rejected rows are left out: several of them may have the same key.
    """
    config = run.config.results
    answered = df.where(f"outcome <> '{REJECTED}'")
    if not _exists(spark, config):
        _write(answered, config, "errorifexists")
        return
    target = f"delta.{quote_name(destination)}" if config.path is not None else destination
    view = "bedrock_spark_" + hashlib.sha256(run.run_id.encode()).hexdigest()[:16]
    answered.createOrReplaceTempView(view)
    try:
        spark.sql(merge_statement(target, view, run.config.source.key))
    finally:
        spark.catalog.dropTempView(view)


def merge_statement(target: str, view: str, key: tuple[str, ...]) -> str:
    """Return the MERGE statement, in the SQL of Delta Lake and Iceberg. Null keys are equal."""
    is_same_key = " AND ".join(f"t.{quote_name(name)} <=> s.{quote_name(name)}" for name in key)
    return (
        f"MERGE INTO {target} AS t USING {view} AS s ON {is_same_key} "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def _exists(spark: SparkSession, config: ResultsConfig) -> bool:
    if config.table is not None:
        return spark.catalog.tableExists(config.table)
    try:
        return bool(spark.read.format(config.format).load(config.path).columns)
    except AnalysisException:
        # If it exists but cannot be read, the write in mode `errorifexists` fails without a change.
        return False


def _is_delta(config: ResultsConfig) -> bool:
    return config.format.lower() == _DELTA


def _read_published(storage: Storage) -> dict[str, dict[str, str]]:
    """Return the fingerprint and the state of every append, by destination."""
    data = storage.read_if_present(layout.PUBLISHED_FILE)
    published: dict[str, dict[str, str]] = json.loads(data) if data is not None else {}
    return published


def _note(
    storage: Storage,
    published: dict[str, dict[str, str]],
    destination: str,
    fingerprint: str,
    state: str,
) -> None:
    published[destination] = {"fingerprint": fingerprint, "state": state}
    storage.write(layout.PUBLISHED_FILE, json.dumps(published, indent=1).encode())


def _fingerprint(storage: Storage) -> str:
    """Return a digest that changes if the results of any shard change."""
    files = [o for o in storage.list(f"{layout.RESULTS}/") if o.key.endswith(".parquet")]
    versions = [(o.key, o.size, o.version) for o in files]
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest()
