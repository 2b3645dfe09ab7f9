"""Collect: for each shard, join the answers to the rows that asked, and prove the count.

No shuffle: a task has some shards, and does them one after another. For each it reads the rows and
outputs, writes one results file and one reconciliation, and returns one small row to the Spark
driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from pyspark.sql import SparkSession

from bedrock_spark.answers.digest import asking_of
from bedrock_spark.config import Config
from bedrock_spark.families import family_of
from bedrock_spark.outputs.ask_again import ask_again_of, rules_digest
from bedrock_spark.outputs.reconciliations import Reconciliations, StoredRow, write_table
from bedrock_spark.prices.named_models import batch_model_ids
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.collect.changed import ChangedUnits
from bedrock_spark.spark.collect.late_output import folders_of
from bedrock_spark.spark.collect.provenance import Provenance
from bedrock_spark.spark.collect.reconciliation_table import write_reconciliation
from bedrock_spark.spark.collect.task import CollectedUnit, CollectTask, ShardWork
from bedrock_spark.spark.result_schema import refuse_clashes, result_columns_of
from bedrock_spark.spark.tasks import observed_tasks, run_packed
from bedrock_spark.storage import calls_at_once


def collect(
    spark: SparkSession,
    run: Run,
    manifest: RunManifest,
    jobs: dict[str, Job],
    observe: Observer = ignore_progress,
) -> Reconciliations:
    """Write results and reconciliations; return the reconciliation of every unit, by name.

    Writes the tables of all reconciliations last. Runs one Spark action over the units that have
    changed since they were collected, none if there are none. If one of its tasks is lost, the
    shards that it has finished have a reconciliation, and are not read again.
    """
    refuse_clashes(manifest.kept_columns, run.config.results)
    by_shard: dict[str, list[Job]] = {}
    for job in sorted(jobs.values(), key=lambda job: job.attempt):
        by_shard.setdefault(job.shard_id, []).append(job)
    task = collect_task(run, manifest.prepare_id, jobs.values())
    changed = ChangedUnits(task, manifest, by_shard)
    with observed_tasks(spark, "collect", observe, unit="rows") as progress:

        def units() -> Iterator[tuple[ShardWork, int]]:
            yield from changed
            progress.expect(changed.changed_rows or manifest.rows)

        done = run_packed(spark, units(), task, "collect")
    rows = changed.rows
    for collected in map(_COLLECTED.decode, done):
        reconciled = collected.reconciled
        rows[reconciled.unit] = StoredRow(collected.version, reconciled.to_json())
    reconciliations = Reconciliations.of(rows, run.storage.uri)
    with calls_at_once(run.storage) as calls:
        tables = [calls.begin(write_reconciliation, run.storage, reconciliations, jobs)]
        if done:
            tables.append(calls.begin(write_table, run.storage, rows))
    for table in tables:
        table.result()
    return reconciliations


def collect_task(run: Run, prepare_id: str, jobs: Iterable[Job]) -> CollectTask:
    """Return the task that collects each unit of a run. jobs: all of the run"""
    columns = result_columns_of(run.config.results)
    fallback = run.config.fallback
    ask_unfound = fallback is not None and fallback.ask_unfound
    family = family_of(run.config).name
    folders = folders_of(run, jobs)
    schema = run.config.request.answer_schema
    return CollectTask(
        *(run.storage, family, columns, prepare_id, ask_unfound),
        *(ask_again_of(run.config), folders, schema, rules_digest(run.config)),
        provenance=Provenance(
            *(run.run_id, _only_model(run.config), run.prices, asking_of(run.config))
        ),
    )


_COLLECTED = msgspec.json.Decoder(CollectedUnit)


def _only_model(config: Config) -> str | None:
    """Return the model of all batch jobs; None if several targets may have several."""
    models = set(batch_model_ids(config))
    return models.pop() if len(models) == 1 else None
