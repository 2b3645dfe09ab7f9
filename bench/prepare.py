"""Prepare, against DuckDB doing the same work and against the plain Python loop.

    python bench/prepare.py [--rows 600000] [--scale]

Every contender reads the same Parquet on the same machine in one run. Ours and DuckDB's take turns,
and the figure is the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from common.corpus import write_corpus
from common.figures import report
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import parse_config
from bedrock_spark.manifest import RunManifest
from bedrock_spark.run_folder import open_run
from bedrock_spark.spark.prepare import prepare

ROWS = 600_000
ROUNDS = 3
PROMPT = "Classify this ticket as bug, question or wish. Answer with one word.\n\n"
MAX_RECORDS, MAX_BYTES = 50_000, 200_000_000


def session() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "4g")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def ours(spark: SparkSession, corpus: Path, folder: Path) -> RunManifest:
    config = parse_config(
        {
            "run_uri": str(folder),
            "source": {
                "format": "parquet",
                "path": str(corpus),
                "key": ["ticket_id"],
                "columns": ["ticket_id", "subject"],
            },
            "model": {"id": "anthropic.claude-3-haiku-20240307-v1:0"},
            "request": {"prompt": PROMPT + "{{ body }}", "max_tokens": 64},
            "shards": {"max_records": MAX_RECORDS, "max_bytes": MAX_BYTES},
            "batch": {"role_arn": "arn:aws:iam::123456789012:role/bench"},
        }
    )
    return prepare(spark, open_run(config, SystemClock()))


def with_duckdb(corpus: Path, folder: Path) -> None:
    """Hash the key, sort by the hash, write JSONL in bounded files and the rows as zstd Parquet."""
    folder.mkdir()
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    body = f"""{{'anthropic_version': 'bedrock-2023-05-31', 'max_tokens': 64, 'messages':
        [{{'role': 'user', 'content': [{{'type': 'text', 'text': '{PROMPT}' || body}}]}}]}}"""
    connection.execute(f"""
        CREATE TEMP TABLE sorted AS
        SELECT printf('%011d', hash(ticket_id) % 99999999999) AS record_id, *
        FROM read_parquet('{corpus}/*.parquet') ORDER BY hash(ticket_id)""")
    connection.execute(f"""
        COPY (SELECT to_json({{'recordId': record_id, 'modelInput': {body}}})::VARCHAR FROM sorted)
        TO '{folder}/shards'
        (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\x01', ESCAPE '', FILE_EXTENSION 'jsonl',
         FILE_SIZE_BYTES '55MB', PER_THREAD_OUTPUT false)""")
    connection.execute(f"""
        COPY (SELECT record_id, ticket_id, subject FROM sorted)
        TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    connection.close()


def with_python(corpus: Path, folder: Path) -> None:
    """Do as peers do: a list of dicts, json.dumps per record, one file, no ids, no rows."""
    folder.mkdir()
    records = [
        {
            "recordId": f"R{number:010d}",
            "modelInput": {
                "anthropic_version": "bedrock-2023-05-31",
                "max_tokens": 64,
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": PROMPT + row["body"]}]}
                ],
            },
        }
        for number, row in enumerate(pq.read_table(corpus).to_pylist())
    ]
    with (folder / "all.jsonl").open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record) + "\n")


def seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def fresh(home: Path, name: str) -> Path:
    folder = home / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def compare(spark: SparkSession, home: Path, corpus: Path, text_bytes: int, rows: int) -> None:
    ours(spark, corpus, fresh(home, "warm-up"))
    timed = [
        (
            seconds(lambda: ours(spark, corpus, fresh(home, "ours"))),
            seconds(lambda: with_duckdb(corpus, fresh(home, "duckdb"))),
        )
        for _ in range(ROUNDS)
    ]
    mine, theirs = ([pair[i] for pair in timed] for i in (0, 1))
    report(
        "prepare_vs_duckdb",
        statistics.median(a / b for a, b in timed),
        "ratio",
        1.5,
        "lower",
        rows=rows,
        text_megabytes=round(text_bytes / 1e6),
        ours_seconds=[round(s, 2) for s in mine],
        duckdb_seconds=[round(s, 2) for s in theirs],
    )
    loop = subprocess.run(
        [sys.executable, __file__, "--plain-python", str(corpus), str(fresh(home, "python"))],
        capture_output=True,
        text=True,
        check=True,
    )
    plain = json.loads(loop.stdout)
    report(
        "prepare_vs_python",
        statistics.median(mine) / plain["seconds"],
        "ratio",
        1.0,
        "lower",
        python_seconds=round(plain["seconds"], 2),
        python_peak_megabytes=round(plain["peak_megabytes"]),
    )


def plain_python(corpus: str, folder: str) -> None:
    taken = seconds(lambda: with_python(Path(corpus), Path(folder)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": taken, "peak_megabytes": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--plain-python", nargs=2, metavar=("CORPUS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.plain_python:
        plain_python(*arguments.plain_python)
        return
    with tempfile.TemporaryDirectory(prefix="bench-prepare-") as name:
        home = Path(name)
        text_bytes = write_corpus(home / "corpus", arguments.rows)
        spark = session()
        try:
            compare(spark, home, home / "corpus", text_bytes, arguments.rows)
        finally:
            spark.stop()


if __name__ == "__main__":
    main()
