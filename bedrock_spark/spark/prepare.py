"""Prepare: the source becomes shards, rows beside them, rejects, and last of all the run manifest.

One shuffle deals the rows into buckets by a hash of their record id; one task cuts one bucket into
shards. The driver gets one small row per bucket. Until the run manifest is written nothing is
committed, and running prepare again writes the same files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark import layout
from bedrock_spark.config import Config
from bedrock_spark.errors import DuplicateKeyError, PlanError
from bedrock_spark.lint import refuse_lint
from bedrock_spark.manifest import RejectedRows, RunManifest, Shard, commit_manifest, read_manifest
from bedrock_spark.planning import Bounds, Cutter, Piece, plan_buckets
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.requests import body_template
from bedrock_spark.run_folder import Run
from bedrock_spark.spark.identify import Identifier
from bedrock_spark.spark.render import column_values, render_lines
from bedrock_spark.spark.shard_files import BucketFiles, ParquetFile
from bedrock_spark.spark.source import (
    BUCKET,
    HASH,
    KEY,
    SourceColumns,
    choose_columns,
    into_buckets,
    measure,
    read_source,
    with_ids,
)
from bedrock_spark.spark.task_progress import observed_tasks
from bedrock_spark.storage import Storage
from bedrock_spark.templates import RowRejected

REJECT_FIELDS = (
    pa.field("reject_column", pa.string()),
    pa.field("reject_reason", pa.string()),
)
_SUMMARY = "summary string"


def prepare(
    spark: SparkSession, run: Run, df: DataFrame | None = None, observe: Observer = unobserved
) -> RunManifest:
    """Cut the source into shards and return the run manifest; done once, it is only read.

    `df` takes the place of the config's source. Runs two Spark actions. Raises ConfigError for
    columns that are not there, DuplicateKeyError, and PlanError for a source without rows.
    """
    committed = read_manifest(run.storage)
    if committed is not None:
        return committed
    config = run.config
    refuse_lint(config)
    template = body_template(config)
    source = df if df is not None else read_source(spark, config.source)
    columns = choose_columns(source, config.source, template)
    with observed_tasks(spark, "prepare", observe):
        size = measure(source, template)
        if size.records == 0:
            raise PlanError("source: has no rows, so there is nothing to ask")
        buckets = plan_buckets(size, _bounds(config))
        task = PrepareTask(config, columns, run.storage, buckets)
        dealt = into_buckets(with_ids(source, columns), buckets)
        found = [json.loads(r[0]) for r in dealt.mapInArrow(task, _SUMMARY).collect()]
    kept = source.select(*(source[f"`{name}`"] for name in columns.kept)).schema
    return commit_manifest(run.storage, _manifest(run, _ddl(kept), found))


def _ddl(schema: Any) -> str:
    return ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in schema.fields)


def _bounds(config: Config) -> Bounds:
    shards = config.shards
    return Bounds(shards.max_records, shards.max_bytes, shards.min_records)


def _manifest(run: Run, ddl: str, found: list[dict[str, Any]]) -> RunManifest:
    _refuse_duplicates(run.config, found)
    found.sort(key=lambda bucket: bucket["bucket"])
    shards = tuple(Shard(**s) for bucket in found for s in bucket["shards"])
    rejects = tuple(RejectedRows(b["bucket"], b["rejected"]) for b in found if b["rejected"])
    manifest = RunManifest(run.run_id, sum(b["rows"] for b in found), ddl, shards, rejects)
    if manifest.records + manifest.rejected != manifest.rows:
        raise PlanError(
            f"{manifest.rows} rows became {manifest.records} records and {manifest.rejected} "
            "rejects; the manifest was not written"
        )
    return manifest


def _refuse_duplicates(config: Config, found: list[dict[str, Any]]) -> None:
    count = sum(bucket["duplicates"] for bucket in found)
    if not count:
        return
    examples = sorted(key for bucket in found for key in bucket["examples"])[:10]
    raise DuplicateKeyError(
        f"source.key: {', '.join(config.source.key)} is not unique: {count} rows repeat a key. "
        f"The first are {', '.join(examples)}. Name more key columns or remove the repeated rows; "
        "nothing was submitted",
        keys=examples,
    )


@dataclass(frozen=True)
class PrepareTask:
    """The work on one bucket; sent to executors, so it holds only what can be pickled."""

    config: Config
    columns: SourceColumns
    storage: Storage
    buckets: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write a bucket's shards and rejects; yield one row that says what they are."""
        first = next((b for b in batches if b.num_rows), None)
        if first is None:
            return
        with tempfile.TemporaryDirectory(prefix="bedrock-spark-") as folder:
            work = _Bucket(self, Path(folder), first)
            work.add(first)
            for batch in batches:
                work.add(batch)
            yield pa.RecordBatch.from_pydict({"summary": [json.dumps(work.finish())]})


class _Bucket:
    """One bucket on its way from Arrow batches to files."""

    def __init__(self, task: PrepareTask, folder: Path, first: pa.RecordBatch) -> None:
        self._task = task
        self._bucket: int = first.column(BUCKET)[0].as_py()
        self._template = body_template(task.config)
        self._ids = Identifier(self._bucket, task.buckets)
        self._cutter: Cutter[_Chunk] = Cutter(_bounds(task.config))
        kept = [first.schema.field(name) for name in task.columns.kept]
        self._schema = pa.schema([pa.field("record_id", pa.string()), *kept])
        self._files = BucketFiles(task.storage, folder, self._bucket, self._schema)
        self._rejects_path = folder / "rejects.parquet"
        self._rejects: ParquetFile | None = None
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Render a batch and write what can be written."""
        self._check_bucket(batch)
        self._rows += batch.num_rows
        ids = self._ids.identify(
            batch.column(HASH).to_numpy().tolist(), column_values(batch.column(KEY))
        )
        columns = {n: column_values(batch.column(n)) for n in self._template.columns}
        lines, rejected = render_lines(ids, columns, self._template, self._largest_line())
        kept = batch.select(list(self._task.columns.kept))
        if rejected:
            self._reject(kept, rejected)
            good = [i for i, line in enumerate(lines) if line is not None]
            kept, ids = kept.take(pa.array(good, pa.int64())), [ids[i] for i in good]
        records = [line for line in lines if line is not None]
        rows = pa.RecordBatch.from_arrays([pa.array(ids, pa.string()), *kept], schema=self._schema)
        for piece in self._cutter.add(_Chunk(records, rows), [len(r) for r in records]):
            self._write(piece)

    def finish(self) -> dict[str, Any]:
        """Write the rest; return the bucket's summary."""
        with self._files:
            for piece in self._cutter.finish():
                self._write(piece)
        if self._rejects is not None:
            self._rejects.close()
            self._task.storage.upload(self._rejects_path, layout.rejects_key(self._bucket))
        return {
            "bucket": self._bucket,
            "rows": self._rows,
            "rejected": self._rejects.rows if self._rejects is not None else 0,
            "duplicates": self._ids.duplicates,
            "examples": self._ids.examples,
            "shards": [asdict(s) for s in self._files.shards],
        }

    def _write(self, piece: Piece[_Chunk]) -> None:
        rows = piece.chunk.rows.slice(piece.start, piece.stop - piece.start)
        self._files.write(piece.cut, piece.chunk.lines[piece.start : piece.stop], rows)

    def _reject(self, kept: pa.RecordBatch, rejected: dict[int, RowRejected]) -> None:
        if self._rejects is None:
            schema = pa.schema([*kept.schema, *REJECT_FIELDS])
            self._rejects = ParquetFile(self._rejects_path, schema)
        rows = kept.take(pa.array(list(rejected), pa.int64()))
        columns = [r.column for r in rejected.values()], [r.reason for r in rejected.values()]
        arrays = [*rows.columns, *(pa.array(c, pa.string()) for c in columns)]
        schema = pa.schema([*kept.schema, *REJECT_FIELDS])
        self._rejects.write(pa.RecordBatch.from_arrays(arrays, schema=schema))

    def _largest_line(self) -> int:
        return self._task.config.shards.max_bytes

    def _check_bucket(self, batch: pa.RecordBatch) -> None:
        seen = pc.min_max(batch.column(BUCKET)).as_py()
        if seen != {"min": self._bucket, "max": self._bucket}:
            raise PlanError(f"Spark put buckets {seen} into the task of bucket {self._bucket}")


@dataclass(frozen=True)
class _Chunk:
    """Lines and the rows behind them, in the same order."""

    lines: list[bytes]
    rows: pa.RecordBatch
