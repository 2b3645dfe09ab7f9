"""Runs that pages look at, collected without Spark: of 100,000 rows, and of very many shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.answers.digest import asking_of
from bedrock_spark.config import parse_config
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.reconciliations import write_table
from bedrock_spark.outputs.stored_rows import StoredRow
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.shards.index_builder import IndexBuilder
from bedrock_spark.spark.collect.provenance import Provenance
from bedrock_spark.spark.collect.reconciliation_table import write_reconciliation
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import result_columns_of
from common.collected import PREPARE_ID, CollectFolder
from tests.unit.fakes import FakeClock, config_values

_END_OF_BODY = b',"modelOutput":'
_BEGIN_OF_BODY = b'{"modelInput":'


def collected_run(corpus: Path, folder: Path, rows: int) -> Run:
    """Write a run of shards of 40,000 records, with requests and outputs, and collect it."""
    made = CollectFolder(corpus, folder, rows)
    run, storage = made.run, made.run.storage
    task = CollectTask(
        *(storage, "anthropic", result_columns_of(run.config.results), PREPARE_ID),
        provenance=Provenance(run.run_id, run.config.model.id, run.prices, asking_of(run.config)),
    )
    units = {}
    for shard in made.manifest.shards:
        _write_requests(folder, shard.shard_id)
        job = made.jobs[shard.shard_id]
        units[shard.shard_id] = task(ShardWork(shard.shard_id, None, (job,)))
    write_table(
        storage,
        {name: StoredRow(unit.version, unit.reconciled.to_json()) for name, unit in units.items()},
    )
    write_reconciliation(storage, [unit.reconciled for unit in units.values()], made.jobs)
    return run


def _write_requests(folder: Path, shard: str) -> None:
    """Write the lines of a shard and their index, from the bodies in its output lines."""
    (output,) = (folder / layout.OUTPUT / shard).rglob("*.jsonl.out")
    builder = IndexBuilder()
    answered = sorted(output.read_bytes().splitlines(), key=lambda line: line[-13:-2])
    ids = [line[-13:-2] for line in answered]
    bodies = (line[len(_BEGIN_OF_BODY) : line.index(_END_OF_BODY)] for line in answered)
    lines = [
        b'{"recordId":"%b","modelInput":%b}\n' % pair for pair in zip(ids, bodies, strict=True)
    ]
    builder.add(np.array(ids, "S11"), np.array([len(line) for line in lines]))
    for key, data in (
        (layout.shard_key(shard, PREPARE_ID), b"".join(lines)),
        (layout.index_key(shard, PREPARE_ID), builder.finish().to_bytes()),
    ):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def shards_with_errors(shards: int, with_errors: int) -> list[int]:
    """Return the numbers of the shards with errors: they are spread over the run."""
    return [(i + 1) * shards // (with_errors + 1) for i in range(with_errors)]


def run_of_many_shards(folder: Path, shards: int, with_errors: int) -> Run:
    """Write a run with the counts of all shards, and the results of those that pages read.

    These are the first one and `with_errors` others, spread over the run, with one error each.
    """
    run = begin_run(
        open_run(parse_config({**config_values(), "run_uri": str(folder)}), FakeClock())
    )
    names = [layout.shard_id(number, 0) for number in range(shards)]
    listed = tuple(Shard(name, 1_000, 1, "0" * 64) for name in names)
    commit_manifest(
        run.storage, RunManifest(run.run_id, shards * 1_000, "`id` bigint", listed, (), PREPARE_ID)
    )
    bad = {names[number] for number in shards_with_errors(shards, with_errors)}
    rows = {}
    for name in names:
        reconciled = _reconciled(name, errors=int(name in bad))
        version = run.storage.write(layout.reconciliation_key(name), reconciled.to_json())
        rows[name] = StoredRow(version, reconciled.to_json())
    write_table(run.storage, rows)
    for name in {names[0], *bad}:
        _write_results(folder / layout.results_key(name), errors=int(name in bad))
    return run


def _reconciled(unit: str, errors: int) -> ReconciledShard:
    return ReconciledShard(
        unit=unit,
        rows=1_000,
        outcomes={"ok": 1_000 - errors, "error": errors},
        reasons=(Reason("error", 500, "try again", errors, "0" * 11),) if errors else (),
        labels={"label": {"bug": 500, "question": 300, "wish": 200}},
    )


def _write_results(path: Path, errors: int) -> None:
    numbers = range(1_000)
    is_bad = [number < errors for number in numbers]
    table = pa.table(
        {
            "id": list(numbers),
            "record_id": [f"{number:011d}" for number in numbers],
            "outcome": ["error" if bad else "ok" for bad in is_bad],
            "text": [None if bad else "a word" for bad in is_bad],
            "error_code": pa.array([500 if bad else None for bad in is_bad], pa.int32()),
            "error_message": ["try again" if bad else None for bad in is_bad],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
