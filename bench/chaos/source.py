"""The table that every run of chaos asks about, its config, and its shards, which Spark cuts once.

Later runs get a copy of the prepared run folder, so that they need no Spark.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config, parse_config
from bedrock_spark.config.fallback import FallbackConfig
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from tests.models import CLAUDE as CLAUDE

ROLE = "arn:aws:iam::123456789012:role/BedrockBatchInference"
ROWS, REJECTED = 150, 2
MIN_RECORDS, MAX_RECORDS = 10, 40
CONCURRENCY = 4
# The variable by which all processes of a chaos know how many files a shard may have.
FILES = "CHAOS_FILES"
# Objects that a run writes when it is begun: each run has its own.
_BEGUN = ("run.json", "config/")


def write_source(path: Path) -> None:
    """Write the table: an id, and a question that no other row has. Two rows have none."""
    bodies = [f"Question number {n}: what is {n} times {n + 1}?" for n in range(ROWS)]
    values = [None if n < REJECTED else body for n, body in enumerate(bodies)]
    columns = {"id": [f"row-{n:04d}" for n in range(ROWS)], "body": values}
    schema = pa.schema([("id", "string"), ("body", "string")])
    pq.write_table(pa.table(columns, schema=schema), path)


def config_of(run_uri: str, source: Path, **sections: Any) -> dict[str, Any]:
    """Return the config of a run, as plain values."""
    fallback = {"model_id": CLAUDE, "concurrency": CONCURRENCY, "rounds": 8, "attempts": 8}
    if "max_share" in FallbackConfig.model_fields:
        fallback["max_share"] = 1.0
    values: dict[str, Any] = {
        "run_uri": run_uri,
        "source": {
            "format": "parquet",
            "path": str(source),
            "key": ["id"],
            "columns": ["id"],
            "max_rejects": REJECTED,
        },
        "model": {"id": CLAUDE},
        "request": {"prompt": "{{ body }}", "max_tokens": 40},
        "shards": {
            "max_records": MAX_RECORDS,
            "min_records": MIN_RECORDS,
            "max_files": int(os.environ.get(FILES, "1")),
        },
        "batch": {"role_arn": ROLE, "region": "us-east-1", "attempts": 3, "poll_seconds": 2},
        "canary": {"records": 0},
        "fallback": fallback,
        "results": {"max_errors": 1.0},
    }
    for name, section in sections.items():
        is_section = isinstance(section, dict)
        values[name] = {**(values.get(name) or {}), **section} if is_section else section
    return values


def prepare_template(spark: SparkSession, folder: Path, source: Path) -> None:
    """Prepare a run over the source in a local folder."""
    from bedrock_spark.spark.prepare.stage import prepare

    prepare(spark, open_run(parse_config(config_of(str(folder), source)), SystemClock()))


def begin_prepared(template: Path, config: Config) -> Run:
    """Begin a run, and give it the shards and the manifest of the template."""
    run = begin_run(open_run(config, SystemClock()))
    old = json.loads((template / "run.json").read_text())
    renamed = {old["config"]["run_uri"]: config.run_uri, old["run_id"]: run.run_id}
    paths = sorted(path for path in template.rglob("*") if path.is_file())
    # The manifest commits the others.
    for path in sorted(paths, key=lambda path: path.name == "manifest.json"):
        key = path.relative_to(template).as_posix()
        if key.startswith(_BEGUN) or path.name.startswith("."):
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            for before, after in renamed.items():
                data = data.replace(before.encode(), after.encode())
        run.storage.write(key, data)
    return run
