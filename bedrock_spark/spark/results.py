"""The results as a DataFrame, and publishing them where others read.

Tasks read the results files through the package's own storage, so this needs no Hadoop file system
for S3 and works wherever the pipeline does.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark import layout
from bedrock_spark.config import ResultsConfig
from bedrock_spark.manifest import RunManifest
from bedrock_spark.run_folder import Run
from bedrock_spark.spark.results_schema import RESULT_DDL
from bedrock_spark.storage import Storage

_BATCH_ROWS = 10_000


def results(spark: SparkSession, run: Run, manifest: RunManifest) -> DataFrame:
    """Return one row per source row: the source columns kept, then the result columns.

    Lazy: no Spark action runs. One partition per shard.
    """
    units = [s.shard_id for s in manifest.shards] + [r.unit for r in manifest.rejects]
    schema = f"{manifest.columns}, {RESULT_DDL}"
    task = _ReadTask(run.storage, tuple(units))
    return spark.range(0, len(units), 1, len(units)).mapInArrow(task, schema)


@dataclass(frozen=True)
class _ReadTask:
    storage: Storage
    units: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                data = self.storage.read(layout.results_key(self.units[index]))
                yield from pq.ParquetFile(io.BytesIO(data)).iter_batches(_BATCH_ROWS)


def publish(df: DataFrame, config: ResultsConfig) -> str | None:
    """Write results where the config says, replacing what was there; return where, if anywhere."""
    writer = df.write.format(config.format).mode("overwrite")
    if config.path is not None:
        writer.save(config.path)
        return config.path
    if config.table is not None:
        writer.saveAsTable(config.table)
        return config.table
    return None
