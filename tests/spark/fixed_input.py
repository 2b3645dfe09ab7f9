"""A small fixed input with values of many types, and the shards that it must always become.

    python -m tests.spark.fixed_input      overwrites tests/data/fixed_shards.json

Run this only if the bytes of shards are meant to change. Then a prepare that was killed under one
version cannot be continued by the next version.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run, open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.spark_sessions import make_config

FILE = Path(__file__).parents[1] / "data" / "fixed_shards.json"
ROWS = 1_200
MAX_BYTES = 40_000
KINDS: dict[str, dict[str, Any]] = {
    "keyed": {"source": {"key": ["id", "day"]}},
    "keyless": {"source": {"key": []}},
}

_SQL = f"""
SELECT id,
  CASE WHEN id % 50 = 7 THEN NULL
    ELSE repeat(concat('ticket ', id, ' \u00e9\u2028\u00df\\t"'), int(1 + id * id % 13)) END body,
  date_add(DATE'2026-10-30', int(id % 5)) AS day,
  timestamp_micros(1793507400000000 + id * 61000001) AS at,
  CAST(id * 7 AS DECIMAL(9, 2)) / 4 AS price,
  CAST(id AS DOUBLE) / 3 AS ratio,
  CAST(id AS FLOAT) / 10 AS share,
  id % 2 = 0 AS flag,
  encode(concat('\u00e9', id), 'UTF-8') AS raw,
  array('a', NULL, CAST(id AS STRING)) AS tags,
  named_struct('name', concat('Ada ', id % 9), 'at', timestamp_micros(id * 3600000000)) AS who,
  map('k', id, 'l', NULL) AS counts
FROM range({ROWS})
"""
_PROMPT = "{{ at }} {{ day }} {{ price }} {{ ratio }} {{ share }} {{ flag }} {{ raw }}\n{{ body }}"
_BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 40,
    "messages": [{"role": "user", "content": [{"type": "text", "text": _PROMPT}]}],
    "metadata": {"tags": "{{ tags }}", "who": "{{ who }}", "counts": "{{ counts }}"},
}


def fixed_input(spark: SparkSession) -> DataFrame:
    """Return the input."""
    return spark.sql(_SQL)


def open_fixed_run(folder: Path, kind: str = "keyed") -> Run:
    """Open a run over the fixed input in a local folder."""
    config = make_config(
        str(folder),
        shards={"max_records": 90, "max_bytes": MAX_BYTES, "min_records": 20},
        **KINDS[kind],
    ).model_dump()
    config["request"] = {"body": _BODY}
    config["batch"]["lint"] = "ignore"
    config["model"]["family"] = "raw"
    return open_run(type(make_config(str(folder))).model_validate(config), SystemClock())


def shards_of(manifest: RunManifest) -> list[list[Any]]:
    """Return what must never change of the shards: names, counts and digests."""
    return [[s.shard_id, s.records, s.bytes, s.sha256] for s in manifest.shards]


def expected_shards(kind: str = "keyed") -> list[list[Any]]:
    """Return the shards that the fixed input must become."""
    expected: list[list[Any]] = json.loads(FILE.read_text())[kind]
    return expected


def main() -> None:
    from tests.spark_sessions import shared_session

    spark = shared_session()
    with tempfile.TemporaryDirectory() as folder:
        shards_by_kind = {
            kind: shards_of(
                prepare(spark, open_fixed_run(Path(folder, kind), kind), fixed_input(spark))
            )
            for kind in KINDS
        }
    lines = [
        f"{json.dumps(kind)}: [\n  " + ",\n  ".join(map(json.dumps, shards)) + "\n ]"
        for kind, shards in shards_by_kind.items()
    ]
    FILE.write_text("{\n " + ",\n ".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
