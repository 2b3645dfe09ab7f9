"""Read the files that prepare wrote in a local run folder, and force hash collisions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.schema import ROW_BODY_SHA256, ROW_RECORD_ID
from bedrock_spark.spark.prepare import repartitioning as preparing

Record = dict[str, Any]


def rows_file(folder: Path, shard: Shard) -> Path:
    """Return the file of the rows behind a shard."""
    return folder / layout.rows_key(shard.shard_id, shard.prepare_id)


def rejects_file(folder: Path, manifest: RunManifest, bucket: int) -> Path:
    """Return the file of a bucket's rejected rows."""
    return folder / layout.rejects_key(bucket, manifest.prepare_id)


def contents_of(manifest: RunManifest) -> RunManifest:
    """Return the manifest without ids that are random: what the source alone decides."""
    shards = tuple(structs.replace(shard, prepare_id="") for shard in manifest.shards)
    return replace(manifest, run_id="", prepare_id="", shards=shards, source=None)


def narrow_hashes(monkeypatch: pytest.MonkeyPatch, hashes: int) -> None:
    """Let prepare use only `hashes` different hashes, so that different rows collide."""
    with_ids = preparing.with_ids

    def narrowed(*arguments: Any, **options: Any) -> DataFrame:
        return with_ids(*arguments, **options).withColumn(
            "_bs_hash", F.pmod("_bs_hash", F.lit(hashes))
        )

    monkeypatch.setattr(preparing, "with_ids", narrowed)


def records(folder: Path, manifest: RunManifest) -> list[tuple[Record, Record]]:
    """Return every record of a run, shard by shard, each with the row at the same position."""
    pairs: list[tuple[Record, Record]] = []
    for shard in manifest.shards:
        data = (folder / shard.key).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard.sha256
        assert data.endswith(b"\n")
        lines = [json.loads(line) for line in data[:-1].split(b"\n")]
        rows = in_utc(pq.read_table(rows_file(folder, shard))).to_pylist()
        assert len(lines) == len(rows) == shard.records
        pairs += zip(lines, rows, strict=True)
    return pairs


def in_utc(table: pa.Table) -> pa.Table:
    """Return a table with its timestamps in UTC: in other zones one hour a year is ambiguous."""
    utc = pa.timestamp("us", "UTC")
    fields = [f.with_type(utc) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def prompt_of(record: Record) -> str:
    """Return the question that a record for a Claude model asks."""
    text: str = record["modelInput"]["messages"][0]["content"][0]["text"]
    return text


def rows_by_prompt(folder: Path, manifest: RunManifest) -> dict[str, Record]:
    """Return the row of every question, by its text. Questions must differ, and ids must match."""
    rows: dict[str, Record] = {}
    for record, row in records(folder, manifest):
        assert record["recordId"] == row.pop(ROW_RECORD_ID)
        row.pop(ROW_BODY_SHA256, None)
        assert rows.setdefault(prompt_of(record), row) is row, f"asked twice: {prompt_of(record)}"
    return rows


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every shard, rows file and rejects file, by folder and name.

    The id of the prepare that wrote the file is left out. Raises if several prepares left files.
    """
    files = {
        path: path.relative_to(folder).parts
        for subfolder in ("shards", "rows", "rejects")
        for path in sorted((folder / subfolder).rglob("*"))
        if path.is_file() and not path.name.startswith(".writing-")
    }
    assert len({prepare_id for _, prepare_id, *_ in files.values()}) == 1
    return {
        "/".join((subfolder, *names)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path, (subfolder, _, *names) in files.items()
    }
