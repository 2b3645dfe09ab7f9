"""Compare two runs of a million rows: in memory, on Spark, and by DuckDB.

    python bench/compare.py [--rows 1000000] [--rounds 3]

The rows have a key, an answer of about 200 characters, a label, a score and tokens, and the answer
as it came; a tenth of the labels differ. Both ways must find the same numbers. DuckDB reads the
same files, joins them by the key and counts equal texts, labels and tokens: no normal form, no
medians, no kappa. The ways take turns, each time in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common.cpu import cpu_seconds
from common.figures import report
from common.memory import watched
from common.spark_session import bench_session

from bedrock_spark import Comparison, compare
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import begin_run, open_run

ROWS, ROUNDS, SHARD_ROWS = 1_000_000, 3, 50_000
LABELS = np.array(["hardware", "software", "billing", "access", "other"])
MEMORY, SPARK, DUCKDB = "memory", "spark", "duckdb"
_WORDS = (
    "the printer in room two does not print since the update of last week and nobody knows why "
)


def write_run(folder: Path, rows: int, seed: int) -> None:
    """Write a run that is collected. The second run has its rows in another order."""
    config = {
        "run_uri": str(folder),
        "source": {"path": "/nowhere/tickets.parquet", "key": ["ticket_id"]},
        "model": {"id": "amazon.nova-lite-v1:0"},
        "request": {"prompt": "Classify: {{ body }}", "max_tokens": 100},
        "batch": {"role_arn": "arn:aws:iam::123456789012:role/bench", "region": "us-east-1"},
        "results": {"parse": {"columns": "label string, score double"}},
    }
    run = begin_run(open_run(parse_config(config), SystemClock()))
    starts = range(0, rows, SHARD_ROWS)
    shards = tuple(
        Shard(layout.shard_id(i, 0), min(SHARD_ROWS, rows - start), 1, "0" * 64)
        for i, start in enumerate(starts)
    )
    commit_manifest(run.storage, RunManifest(run.run_id, rows, "ticket_id BIGINT", shards, (), "p"))
    random = np.random.default_rng(seed)
    order = np.arange(rows) if seed == 1 else random.permutation(rows)
    for shard, start in zip(shards, starts, strict=True):
        table = _rows(order[start : start + SHARD_ROWS], random)
        path = folder / layout.results_key(shard.shard_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd")


def _rows(ids: np.ndarray[Any, Any], random: np.random.Generator) -> pa.Table:
    rows = len(ids)
    picked = np.where(random.random(rows) < 0.1, random.integers(0, 5, rows), ids % 5)
    labels = LABELS[picked].tolist()
    texts = [
        f'{{"label": "{label}", "score": 0.5, "why": "ticket {number}: {_WORDS}{_WORDS[:70]}"}}'
        for number, label in zip(ids.tolist(), labels, strict=True)
    ]
    outputs = [
        json.dumps({"output": {"message": {"content": [{"text": text}]}}, "usage": {"in": 90}})
        for text in texts
    ]
    return pa.table(
        {
            "ticket_id": pa.array(ids),
            "record_id": [f"{number:011d}" for number in ids.tolist()],
            "outcome": np.where(random.random(rows) < 0.01, "truncated", "ok"),
            "text": texts,
            "input_tokens": random.integers(80, 120, rows),
            "output_tokens": random.integers(40, 60, rows),
            "model_output": outputs,
            "error_message": pa.nulls(rows, pa.string()),
            "label": labels,
            "score": random.integers(0, 100, rows) / 100,
        }
    )


def with_duckdb(a: str, b: str) -> dict[str, int]:
    """Join the files by the key; return the numbers that a comparison has, too."""
    row = duckdb.sql(f"""
        SELECT count(*) AS both, count(*) FILTER (WHERE a.text = b.text) AS texts,
          count(*) FILTER (WHERE a.label = b.label) AS labels, avg(abs(a.score - b.score)),
          avg(a.output_tokens), avg(b.output_tokens)
        FROM read_parquet('{a}/results/*.parquet') a
        JOIN read_parquet('{b}/results/*.parquet') b USING (ticket_id)
        WHERE a.outcome = 'ok' AND b.outcome = 'ok'
    """).fetchall()[0]
    return {"both_ok": row[0], "text": row[1], "label": row[2]}


def numbers_of(found: Comparison) -> dict[str, Any]:
    """Return what both ways must find."""
    equal = {column.name: column.equal.count for column in found.columns}
    return {"both_ok": found.both_ok, "text": equal["text"], "label": equal["label"]}


def measure(way: str, a: str, b: str) -> dict[str, Any]:
    """Compare in this process; return seconds of CPU, megabytes, and the numbers."""
    found: dict[str, Any] = {}
    if way == SPARK:
        with bench_session("1g") as spark, watched() as peaks:
            cpu = cpu_seconds(
                lambda: found.update(numbers_of(compare(a, b, spark=spark, engine=SPARK)))
            )
        megabytes = {"driver": peaks.driver_megabytes, "worker": peaks.worker_megabytes}
        return {"cpu": cpu, "numbers": found, **megabytes, "jvm": peaks.jvm_megabytes}
    if way == MEMORY:
        cpu = cpu_seconds(lambda: found.update(numbers_of(compare(a, b, engine=MEMORY))))
    else:
        cpu = cpu_seconds(lambda: found.update(with_duckdb(a, b)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "numbers": found, "driver": peak}


def main() -> None:
    """Let the ways take turns; print the median of each, with every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--measure", nargs=3, metavar=("WAY", "A", "B"))
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(*options.measure)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = [str(Path(folder) / name) for name in "ab"]
        for seed, uri in enumerate(runs, start=1):
            write_run(Path(uri), options.rows, seed)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in (MEMORY, SPARK, DUCKDB)}
        for _ in range(options.rounds):
            for way, rounds in found.items():
                command = [sys.executable, __file__, "--measure", way, *runs]
                child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                rounds.append(json.loads(child.stdout.splitlines()[-1]))
    numbers = [each.pop("numbers") for rounds in found.values() for each in rounds]
    assert all(each == numbers[0] for each in numbers), numbers
    for way, rounds in found.items():
        name = f"compare, {way}"
        cpu = [each["cpu"] for each in rounds]
        report(f"{name}: CPU", median(cpu), "s", None, "lower", rows=options.rows, rounds=cpu)
        for place in ("driver", "worker", "jvm"):
            peaks = [each[place] for each in rounds if place in each]
            if peaks:
                report(f"{name}: memory of the {place}", max(peaks), "MB", None, "lower")


if __name__ == "__main__":
    main()
