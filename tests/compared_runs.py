"""Finished runs in local folders, with rows as a test names them, written without Spark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.config import parse_config
from bedrock_spark.report.values import Report, all_outcomes
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from tests.unit.fakes import FakeClock, config_values

Row = Mapping[str, Any]

_RESULTS = {
    "record_id": pa.string(),
    "outcome": pa.string(),
    "text": pa.string(),
    "input_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "error_message": pa.string(),
}


def write_run(
    folder: Path,
    rows: Sequence[Row],
    types: Mapping[str, pa.DataType],
    *,
    parse: str | None = None,
    key: Sequence[str] = ("id",),
    prefix: str = "",
    shard_rows: int = 3,
    cost: float | None = None,
    **sections: Any,
) -> Run:
    """Write a run whose results are these rows, in shards of `shard_rows` rows; return it.

    rows: without a value, a result column is null, but `outcome` is ok
    types: of all columns that are no result columns of every run
    parse: the columns of results.parse; cost: dollars by the report
    """
    values = {**config_values(), "run_uri": str(folder), **sections}
    values["source"] = {"format": "parquet", "path": "s3://lake/t/", "key": list(key)}
    values["source"].update(sections.get("source", {}))
    values["results"] = {"prefix": prefix, **({"parse": {"columns": parse}} if parse else {})}
    run = begin_run(open_run(parse_config(values), FakeClock()))
    asked = [row for row in rows if row.get("outcome") != "rejected"]
    rejected = [row for row in rows if row.get("outcome") == "rejected"]
    pieces = [asked[i : i + shard_rows] for i in range(0, len(asked), shard_rows)]
    shards = tuple(
        Shard(layout.shard_id(i, 0), len(piece), 10, "0" * 64) for i, piece in enumerate(pieces)
    )
    rejects = (RejectedRows(0, len(rejected)),) if rejected else ()
    manifest = RunManifest(run.run_id, len(rows), "id BIGINT", shards, rejects, "p")
    commit_manifest(run.storage, manifest)
    schema = pa.schema([*types.items(), *((prefix + n, kind) for n, kind in _RESULTS.items())])
    for unit, piece in zip(
        manifest.units, (*pieces, *([rejected] if rejected else [])), strict=True
    ):
        whole = [
            {f"{prefix}outcome": "ok", **{_named(k, types, prefix): v for k, v in row.items()}}
            for row in piece
        ]
        path = folder / layout.results_key(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(whole, schema), path)
    if cost is not None:
        report = Report(
            run_id=run.run_id,
            run_uri=str(folder),
            rows=len(rows),
            records=len(asked),
            sharing=0,
            outcomes=all_outcomes(Counter(str(row.get("outcome", "ok")) for row in rows)),
            served_by={},
            unanswered=0,
            shards=len(shards),
            jobs={},
            attempts=0,
            tokens={
                side: sum(row.get(f"{side}_tokens") or 0 for row in rows)
                for side in ("input", "output")
            },
            seconds={},
            findings=[],
            cost={"total": cost},
        )
        run.storage.write(layout.REPORT_FILE, json.dumps(report.as_json()).encode())
    return run


def _named(name: str, types: Mapping[str, Any], prefix: str) -> str:
    return name if name in types else prefix + name
