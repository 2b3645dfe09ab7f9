"""Run one million records in 2,000 shards end to end, against a local Bedrock, on this machine.

    python bench/million.py [--rows 1000000] [--shards 2000]

Prepare and collect run on Spark with two cores, and the batch jobs are controlled by a process
without Spark, as on a small machine. That process measures itself after each of its steps: its
resident set, its open files and its threads. Flat means: in the last fifth of the steps as in the
fifth before the middle. Then collect runs twice more, over shards that have not changed: neither
the driver's open files nor its threads may grow.

The emulator simulates an hour in less than a second, and has the answers of all jobs to write, so
the time is mostly its own. Prints one JSON object per line: `{name, value, unit, goal, better,
detail}`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_emulator import LocalBedrock
from bedrock_spark import Pipeline
from bedrock_spark.progress import Progress
from bench.common.figures import report
from bench.common.local_bedrock import use_local_credentials
from bench.common.prepared import seconds
from bench.common.spark_session import bench_session
from tests.models import CLAUDE

ROWS, SHARDS = 1_000_000, 2_000
SPEED = 20_000.0
BUCKET = "bench-million"
MEMORY_GOAL, HANDLES_GOAL = 1.05, 0
# The rows of a piece of the source, while it is written.
_PIECE = 100_000


def write_source(path: Path, rows: int) -> None:
    """Write rows with short bodies, all different."""
    schema = pa.schema([("id", pa.int64()), ("body", pa.string())])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, _PIECE):
            ids = range(start, min(rows, start + _PIECE))
            bodies = [f"Ticket {i}: the page does not load" for i in ids]
            file.write_table(pa.table({"id": list(ids), "body": bodies}, schema))


def config_of(source: Path, endpoint_url: str, rows: int, shards: int) -> dict[str, Any]:
    """Return a config that cuts about `shards` shards: a bucket's last shard is not full."""
    return {
        "run_uri": f"s3://{BUCKET}/run",
        "source": {"format": "parquet", "path": str(source), "key": ["id"]},
        "model": {"id": CLAUDE},
        "request": {"prompt": "Is this a bug? {{ body }}", "max_tokens": 20},
        "shards": {"max_records": -(-rows * 11 // (shards * 10)), "min_records": 100},
        "batch": {
            "role_arn": "arn:aws:iam::123456789012:role/bench",
            "region": "us-east-1",
            "max_active_jobs": 20,
        },
        "results": {"model_output": "drop"},
        "canary": {"records": 1},
        "endpoint_url": endpoint_url,
    }


def usage() -> dict[str, float]:
    """Return what this process holds now: its resident set in MB, its open files, its threads."""
    status = Path("/proc/self/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return {
        "megabytes": resident / 1_000,
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
    }


def control(config: dict[str, Any]) -> None:
    """Control the batch jobs to their end; print what this process held after each step."""
    samples: list[dict[str, float]] = []

    def observe(progress: Progress) -> None:
        if progress.stage == "batch":
            samples.append(usage())

    result = Pipeline.open(config, observe=observe).watch()
    assert result is not None
    assert result.is_done
    sys.stdout.write(json.dumps(samples) + "\n")


def controlled(config: dict[str, Any]) -> list[dict[str, float]]:
    """Control the jobs in a process of its own; return its samples."""
    arguments = [sys.executable, __file__, "--control", json.dumps(config)]
    child = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    samples: list[dict[str, float]] = json.loads(child.stdout.splitlines()[-1])
    return samples


def report_controller(samples: Sequence[dict[str, float]], took: float) -> None:
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth] or samples, samples[-fifth:]

    def median(name: str, of: Sequence[dict[str, float]]) -> float:
        return statistics.median(sample[name] for sample in of)

    held = {name: [median(name, early), median(name, late)] for name in samples[0]}
    growth = held["megabytes"][1] / held["megabytes"][0]
    detail = {"steps": len(samples), "seconds": round(took, 1), **held}
    report("controller_memory_growth", growth, "ratio", MEMORY_GOAL, "lower", **detail)
    for name in ("files", "threads"):
        more = held[name][1] - held[name][0]
        report(f"controller_{name}_growth", more, name, HANDLES_GOAL, "lower")


def run(folder: Path, endpoint_url: str, rows: int, shards: int) -> None:
    source = folder / "source.parquet"
    write_source(source, rows)
    config = config_of(source, endpoint_url, rows, shards)
    took: dict[str, float] = {}
    with bench_session() as spark:
        pipeline = Pipeline.open(config)
        took["prepare"] = seconds(lambda: pipeline.prepare(spark))
        samples: list[dict[str, float]] = []
        took["batch"] = seconds(lambda: samples.extend(controlled(config)))
        report_controller(samples, took["batch"])
        took["collect"] = seconds(lambda: pipeline.collect(spark))
        before = usage()
        took["collect_unchanged"] = seconds(lambda: pipeline.collect(spark))
        took["finish"] = seconds(lambda: pipeline.finish(spark, pipeline.collect(spark)))
        after = usage()
        made = pipeline.report(pipeline.collect(spark))
    assert made.is_complete
    assert (made.rows, made.outcomes["ok"]) == (rows, rows), made.outcomes
    for name in ("files", "threads"):
        report(f"driver_{name}_growth", after[name] - before[name], name, HANDLES_GOAL, "lower")
    total = sum(took.values())
    detail = {"shards": made.shards, **{name: round(s, 1) for name, s in took.items()}}
    report("million_seconds", total, "s", None, "lower", rows=rows, **detail)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--control", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    use_local_credentials()
    if arguments.control:
        control(json.loads(arguments.control))
        return
    with tempfile.TemporaryDirectory(prefix="bench-million-") as name:
        folder = Path(name)
        with LocalBedrock(None, SPEED, 7, folder / "bedrock") as local:
            local.client("s3").create_bucket(Bucket=BUCKET)
            run(folder, local.endpoint_url, arguments.rows, arguments.shards)


if __name__ == "__main__":
    main()
