"""A finished run in a local folder, written without Spark."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.config import parse_config
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from tests.unit.fakes import FakeClock, config_values

SCHEMA = pa.schema(
    [
        ("ticket_id", pa.int64()),
        ("opened", pa.timestamp("us", "UTC")),
        ("amount", pa.decimal128(8, 2)),
        ("record_id", pa.string()),
        ("outcome", pa.string()),
        ("text", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("error_message", pa.string()),
    ]
)
OUTCOMES = ("ok", "ok", "error", "truncated")


def rows_of(first: int, rows: int) -> list[dict[str, Any]]:
    """Return result rows; every outcome is among each four of them."""
    return [
        {
            "ticket_id": number,
            "opened": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
            "amount": Decimal(number).scaleb(-2),
            "record_id": f"{number:011d}",
            "outcome": OUTCOMES[number % 4],
            "text": f'said "{number}",\nand left' if OUTCOMES[number % 4] == "ok" else None,
            "embedding": [0.5, 1.0],
            "error_message": None if OUTCOMES[number % 4] == "ok" else "why",
        }
        for number in range(first, first + rows)
    ]


def finished_run(folder: Path, sizes: tuple[int, ...] = (6, 6), **sections: Any) -> Run:
    """Write a run whose shards have `sizes` rows, and one rejected row; return it."""
    values = {**config_values(), "run_uri": str(folder), **sections}
    run = begin_run(open_run(parse_config(values), FakeClock()))
    shards = tuple(
        Shard(layout.shard_id(i, 0), size, size * 10, "0" * 64) for i, size in enumerate(sizes)
    )
    rejects = (RejectedRows(0, 1),)
    manifest = RunManifest(run.run_id, sum(sizes) + 1, "ticket_id BIGINT", shards, rejects, "p")
    commit_manifest(run.storage, manifest)
    first = 0
    for unit, size in zip(manifest.units, (*sizes, 1), strict=True):
        rows = rows_of(first, size)
        if unit == rejects[0].unit:
            rows = [{**rows[0], "record_id": None, "outcome": "rejected", "text": None}]
        write_unit(folder, unit, pa.Table.from_pylist(rows, SCHEMA))
        first += size
    return run


def write_unit(folder: Path, unit: str, table: pa.Table) -> None:
    """Write the results of a unit."""
    path = folder / layout.results_key(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
