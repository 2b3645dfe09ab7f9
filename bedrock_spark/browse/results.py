"""Read the results of a run as Arrow, without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.results_file import open_results_file
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage

_BATCH_ROWS = 10_000


def reader_of(
    run: Run, columns: Sequence[str] | None = None, outcomes: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """Return a reader of the collected rows of a run; see `open_results`."""
    files = _files(run.storage, require_manifest(run.storage).units)
    first = next(files)
    schema = first[1].schema_arrow
    for name in columns or ():
        if name not in schema.names:
            raise ConfigError(
                f"{run.storage.uri}: its results have no column {name}; they have "
                f"{', '.join(schema.names)}"
            )
    outcome = run.config.results.outcome_column
    chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    batches = _batches(chain([first], files), schema, chosen.names, (outcome, outcomes))
    return pa.RecordBatchReader.from_batches(chosen, batches)


def _files(storage: Storage, units: Sequence[str]) -> Iterator[tuple[str, pq.ParquetFile]]:
    """Yield the results of every unit, each with its place for messages."""
    for unit in units:
        place = f"{storage.uri}/{layout.results_key(unit)}"
        yield place, pq.ParquetFile(open_results_file(storage, unit))


def _batches(
    files: Iterable[tuple[str, pq.ParquetFile]],
    schema: pa.Schema,
    names: list[str],
    wanted: tuple[str, Sequence[str] | None],
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of every unit in batches.

    wanted: the column of the outcome, and the outcomes to return
    """
    outcome, outcomes = wanted
    read = names if outcomes is None or outcome in names else [*names, outcome]
    for place, file in files:
        if _types(file.schema_arrow) != _types(schema):
            raise RunFolderError(
                f"{place}: its columns are not those of the other "
                "shards, because the config's results section has changed; run collect again"
            )
        for batch in file.iter_batches(_BATCH_ROWS, columns=read):
            if outcomes is not None:
                kept = pc.is_in(batch.column(outcome), pa.array(list(outcomes), pa.string()))
                batch = batch.filter(kept)
            if batch.num_rows:
                yield batch.select(names)


def _types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Return names and types: whether a column may be null may differ from shard to shard."""
    return [(field.name, field.type) for field in schema]
