"""Publish what there is before the results are final, to a place of its own.

It never touches the place of the finished results. Rows whose shard still waits for a batch job are
`missing` in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from pyspark.sql import SparkSession

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.clock import Clock
from bedrock_spark.config import ResultsConfig
from bedrock_spark.config.overlaps import NamedPlace, named_results
from bedrock_spark.config.places import Relation, place_of_path
from bedrock_spark.errors import ConfigError
from bedrock_spark.progress import Observer
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.destination import places_of
from bedrock_spark.spark.publish import publish
from bedrock_spark.spark.tasks import observed_tasks, run_packed
from bedrock_spark.storage import Storage

# Formats that are written to a path. Those of tables need a catalog.
_PATH_FORMATS = ("parquet", "orc", "json", "avro", "delta", "csv", "text")


def publish_partial(
    spark: SparkSession,
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    observe: Observer,
    path: str | None,
    wait: LeaseWait = NO_WAIT,
) -> str:
    """Write the results as they are to a path, or into the run folder; return where.

    path: None for the folder `partial` of the run folder, as Parquet, one file per unit
    wait: for another process that publishes this run and may be dead
    Runs a Spark action. Raises ConfigError if the path is not apart from the place of the results,
    the source or the run folder, or holds what this package did not write.
    """
    if path is None:
        tasks = len(manifest.units)
        with observed_tasks(spark, "publish", observe, None, manifest.rows, "rows", tasks):
            return _copy(spark, run.storage, manifest.units)
    _refuse_final_place(spark, run, path)
    final = run.config.results
    kind = final.format if final.format.lower() in _PATH_FORMATS else "parquet"
    values = final.model_dump() | {
        "path": path,
        "table": None,
        "format": kind,
        "mode": "overwrite",
        "replace": False,
    }
    config = run.config.model_copy(update={"results": ResultsConfig.model_validate(values)})
    publish(
        *(spark, replace(run, config=config), manifest, clock, observe), is_partial=True, wait=wait
    )
    return path


def _refuse_final_place(spark: SparkSession, run: Run, path: str) -> None:
    final = named_results(run.config.results)
    partial = NamedPlace("--partial", path, place_of_path(path))
    for theirs in places_of(spark, final) if final is not None else ():
        relation = partial.place.relation(theirs.place)
        if relation is not Relation.APART:
            raise ConfigError(
                f"{partial} {relation.value} {theirs}: results that are not final would replace "
                "finished ones; name another path, or none for a folder inside the run folder"
            )


class _Copied(msgspec.Struct):
    unit: str


@dataclass(frozen=True)
class _CopyTask:
    """Copies the results of one unit; Spark sends it to the executors."""

    storage: Storage

    def __call__(self, unit: str) -> _Copied:
        self.storage.write(layout.partial_key(unit), self.storage.read(layout.results_key(unit)))
        return _Copied(unit)


def _copy(spark: SparkSession, storage: Storage, units: Sequence[str]) -> str:
    run_packed(spark, ((unit, 0) for unit in units), _CopyTask(storage), "publish")
    return join_uri(storage.uri, layout.PARTIAL)
