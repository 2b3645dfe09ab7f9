"""The results as a DataFrame.

Spark tasks read the results files through the package's own storage. So this needs no Hadoop file
system for S3, and works wherever the pipeline works.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import Storage

_BATCH_ROWS = 10_000


def results(spark: SparkSession, run: Run, manifest: RunManifest) -> DataFrame:
    """Return one row per source row: the kept source columns, then the result columns.

    Lazy: no Spark action runs. There is one partition per shard, and one per bucket of rejected
    rows. Raises RunFolderError, in the tasks, if a file was collected with other result columns.
    """
    units = manifest.units
    columns = result_columns_of(run.config.results)
    task = _ReadTask(run.storage, units, columns.names)
    schema = f"{manifest.columns}, {columns.ddl}"
    return spark.range(0, len(units), 1, len(units)).mapInArrow(task, schema)


@dataclass(frozen=True)
class _ReadTask:
    """Reads the results files of some units; Spark sends it to the executors."""

    storage: Storage
    units: tuple[str, ...]
    results: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from self._read(layout.results_key(self.units[index]))

    def _read(self, key: str) -> Iterator[pa.RecordBatch]:
        file = pq.ParquetFile(io.BytesIO(self.storage.read(key)))
        names = tuple(file.schema_arrow.names)
        if (
            names[-len(self.results) :] != self.results
            or self.results[0] in names[: -len(self.results)]
        ):
            raise RunFolderError(
                f"{self.storage.uri}/{key}: its result columns are not those of the config's "
                "results section; run collect again"
            )
        yield from file.iter_batches(_BATCH_ROWS)
