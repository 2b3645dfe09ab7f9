"""A collected run in a local folder, with rows as a test names them, written without Spark.

Its reconciliations count these rows as collect does, so pages can skip units by them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.opened_runs import OpenedRun, OpenedRuns, open_rows
from bedrock_spark.config import parse_config
from bedrock_spark.outputs.outcomes import INVALID, OK, REFUSED, REJECTED, TRUNCATED
from bedrock_spark.outputs.reasons import ReasonCounts
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.reconciliations import write_table
from bedrock_spark.outputs.stored_rows import StoredRow
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RejectedRows, RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.storage import Storage
from tests.unit.fakes import FakeClock, config_values

Row = Mapping[str, Any]
SCHEMA = pa.schema(
    [
        ("ticket_id", pa.string()),
        ("body", pa.string()),
        ("record_id", pa.string()),
        ("outcome", pa.string()),
        ("text", pa.string()),
        ("output_tokens", pa.int64()),
        ("error_code", pa.int32()),
        ("error_message", pa.string()),
        ("served_by", pa.string()),
        ("model_output", pa.string()),
        ("cost_usd", pa.float64()),
        ("label", pa.string()),
        ("urgency", pa.int32()),
    ]
)
REJECTS = RejectedRows(0, 1).unit
_WITH_REASON = ("error", INVALID, TRUNCATED, REFUSED, REJECTED)


def shard(number: int) -> str:
    return layout.shard_id(number, 0)


def row(number: int, outcome: str = OK, **values: Any) -> dict[str, Any]:
    """Return the row of a ticket."""
    made = {
        "ticket_id": f"T-{number}",
        "body": f"question {number}",
        "record_id": None if outcome == REJECTED else f"{number:011d}",
        "outcome": outcome,
        "output_tokens": number if outcome == OK else None,
        "served_by": "batch",
        "model_output": "never searched",
    }
    return {**made, **values}


def write_run(
    folder: Path,
    units: Mapping[str, Sequence[Row]],
    *,
    group_rows: int = 1_000,
    collected: Sequence[str] | None = None,
    **sections: Any,
) -> Run:
    """Write a run whose units have these rows; return it.

    group_rows: rows of a row group; collected: units that have results; None for all
    """
    values = {**config_values(), "run_uri": str(folder)}
    values["source"] = {"format": "parquet", "path": "s3://lake/t/", "key": ["ticket_id"]}
    values["results"] = {"parse": {"columns": "label string, urgency int"}}
    run = begin_run(open_run(parse_config({**values, **sections}), FakeClock()))
    rejects = tuple(RejectedRows(0, len(rows)) for unit, rows in units.items() if unit == REJECTS)
    shards = tuple(
        Shard(unit, len(rows), 10, "0" * 64) for unit, rows in units.items() if unit != REJECTS
    )
    rows = sum(map(len, units.values()))
    kept = "`ticket_id` string, `body` string"
    commit_manifest(run.storage, RunManifest(run.run_id, rows, kept, shards, rejects, "p"))
    for shard_ in shards:
        bodies = ((each["record_id"], {"prompt": each["body"]}) for each in units[shard_.shard_id])
        lines = (json.dumps({"recordId": i, "modelInput": body}) + "\n" for i, body in bodies)
        run.storage.write(layout.shard_key(shard_.shard_id, "p"), "".join(lines).encode())
    for unit in units if collected is None else collected:
        write_unit(folder, unit, units[unit], group_rows)
    reconcile(run.storage, {unit: units[unit] for unit in (collected or units)})
    return run


def write_unit(folder: Path, unit: str, rows: Sequence[Row], group_rows: int = 1_000) -> None:
    """Write the results of a unit."""
    path = folder / layout.results_key(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), path, row_group_size=group_rows)


def reconcile(storage: Storage, units: Mapping[str, Sequence[Row]]) -> None:
    """Write the reconciliations of units, and the table of them."""
    stored = {}
    for unit, rows in units.items():
        reconciled = _reconciled(unit, rows)
        version = storage.write(layout.reconciliation_key(unit), reconciled.to_json())
        stored[unit] = StoredRow(version, reconciled.without_ids().to_json())
    write_table(storage, stored)


def _reconciled(unit: str, rows: Sequence[Row]) -> ReconciledShard:
    reasons = ReasonCounts()
    for each in rows:
        if each["outcome"] in _WITH_REASON:
            why = each.get("error_code"), each.get("error_message"), each["record_id"]
            reasons.add(each["outcome"], *why)
    named, others = reasons.most_common()
    labels = Counter(each["label"] for each in rows if each.get("label") is not None)
    is_asked = unit != REJECTS
    return ReconciledShard(
        unit=unit,
        rows=len(rows),
        outcomes=dict(Counter(each["outcome"] for each in rows)),
        reasons=tuple(named),
        other_reasons=others,
        labels={"label": dict(labels)} if is_asked else {},
    )


def opened(run: Run) -> OpenedRun:
    """Return the run as a page reads it."""
    return open_rows(run)


def runs(clock: FakeClock | None = None) -> OpenedRuns:
    """Return what opens runs."""
    return OpenedRuns(AwsSettings(), clock or FakeClock())
