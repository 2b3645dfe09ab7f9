"""Collect: for each shard, join what came back to the rows that asked, and prove the count.

One task per shard and no shuffle: a task reads the shard's rows and outputs, writes one results
file and one reconciliation, and hands the driver one small row.
"""

from __future__ import annotations

import re

from pyspark.sql import SparkSession

from bedrock_spark.families import family_of
from bedrock_spark.outputs.reconciled_shard import Reconciled, read_reconciled
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.collect.reconciliation_table import write_reconciliation
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import refuse_clashes, result_columns_of
from bedrock_spark.spark.tasks import observed_tasks, run_per_unit

# A run manifest's columns are "`name` type, `name` type"; within types there are no spaces.
_COLUMN = re.compile(r"(?:^|, )`([^`]*)` ")

__all__ = ["Reconciled", "collect", "read_reconciled"]


def collect(
    spark: SparkSession,
    run: Run,
    manifest: RunManifest,
    jobs: dict[str, Job],
    observe: Observer = unobserved,
) -> list[Reconciled]:
    """Write results and reconciliations; return the reconciliation of every unit, by name.

    The table of all of them is written last.

    Runs one Spark action with a task per shard.
    """
    refuse_clashes(_names(manifest.columns), run.config.results)
    by_shard: dict[str, list[Job]] = {}
    for job in jobs.values():
        by_shard.setdefault(job.shard_id, []).append(job)
    works = [ShardWork(r.unit, r.bucket, ()) for r in manifest.rejects]
    for shard in manifest.shards:
        own = sorted(by_shard.get(shard.shard_id, ()), key=lambda j: j.attempt)
        works.append(ShardWork(shard.shard_id, None, tuple(own)))
    columns = result_columns_of(run.config.results)
    task = CollectTask(run.storage, family_of(run.config.model).name, columns)
    with observed_tasks(spark, "collect", observe):
        found = run_per_unit(spark, works, task)
    units = sorted(found, key=lambda reconciled: str(reconciled["unit"]))
    write_reconciliation(run.storage, units, jobs)
    return units


def _names(columns: str) -> list[str]:
    return _COLUMN.findall(columns)
