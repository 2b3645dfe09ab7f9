"""The results as a DataFrame.

Spark tasks read the results files through the package's own storage. So this needs no Hadoop file
system for S3, and works wherever the pipeline works.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812 - its usual name

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import Storage

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Chosen:
    """Which rows and columns of results are read.

    columns: their names; None for all. outcomes: of the rows; None for all
    """

    columns: frozenset[str] | None = None
    outcomes: tuple[str, ...] | None = None

    def batches(self, file: pq.ParquetFile, outcome: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file. outcome: the name of the column of the outcome."""
        names = file.schema_arrow.names
        wanted = [n for n in names if self.columns is None or n in self.columns]
        read = wanted if self.outcomes is None or outcome in wanted else [*wanted, outcome]
        for batch in file.iter_batches(_BATCH_ROWS, columns=read):
            if self.outcomes is not None:
                values = pa.array(self.outcomes, pa.string())
                batch = batch.filter(pc.is_in(batch.column(outcome), values))
            yield batch.select(wanted)


def results(spark: SparkSession, run: Run, manifest: RunManifest) -> DataFrame:
    """Return one row per source row: the kept source columns, then the result columns.

    Lazy: no Spark action runs. There is one partition per shard, and one per bucket of rejected
    rows. Raises RunFolderError, in the tasks, if a file was collected with other result columns.
    """
    return results_of(spark, run.storage, run.config.results, manifest, manifest.units)


def results_of(
    spark: SparkSession,
    storage: Storage,
    config: ResultsConfig,
    manifest: RunManifest,
    units: Sequence[str],
    chosen: Chosen = Chosen(),
) -> DataFrame:
    """Return the rows of some units, as `results` does.

    config: as the rows were collected
    chosen: the columns and the outcomes to return
    """
    columns = result_columns_of(config)
    task = _ReadTask(storage, tuple(units), columns.names, config.outcome_column, chosen)
    schema: str | T.StructType = f"{manifest.columns}, {columns.ddl}"
    if chosen.columns is not None:
        fields = spark.createDataFrame([], schema).schema.fields
        schema = T.StructType([field for field in fields if field.name in chosen.columns])
    # Without units there is one empty partition: so what is written of it has columns.
    return spark.range(0, len(units), 1, max(1, len(units))).mapInArrow(task, schema)


@dataclass(frozen=True)
class _ReadTask:
    """Reads the results files of some units; Spark sends it to the executors.

    results: the names of all result columns; outcome: the one of the outcome
    """

    storage: Storage
    units: tuple[str, ...]
    results: tuple[str, ...]
    outcome: str
    chosen: Chosen

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
        yield from self.chosen.batches(file, self.outcome)
