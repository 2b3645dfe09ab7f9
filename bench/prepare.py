"""Compare prepare with DuckDB and Polars doing the same work, and with a plain Python loop.

    python bench/prepare.py [--rows 600000] [--scale-rows 200000]

All programs read the same Parquet on the same machine in one run. Prepare, DuckDB and Polars take
turns, and the figure is the median of the ratios. Prepare also takes turns as it runs on a cluster,
by Spark's shuffle. They take turns on a tenth of the rows, too, to tell from how many rows on a
cluster is faster. The cost of ten times the rows is measured in child
processes, so that each has its own peak of memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
from common.corpus import write_corpus
from common.figures import report
from common.prepared import PROMPT, prepare_corpus, seconds
from common.scale import TIMES, report_scale, scale_run, scaled
from common.spark_session import bench_session
from common.versus import OURS, Programs, Rounds, report_break_even, versus
from pyspark.sql import SparkSession

ROWS = 600_000
SCALE_ROWS = 200_000
GOAL = 1.25
# Prepare as it runs on a cluster.
BY_SPARK = "ours_by_spark"
_SHARD_BYTES = 55_000_000


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


def with_polars(corpus: Path, folder: Path) -> None:
    """Hash the key, sort by the hash, write JSONL in bounded files and the rows as zstd Parquet."""
    folder.mkdir()
    hashed = pl.col("ticket_id").hash(42)
    record_id = (hashed % 99_999_999_999).cast(pl.String).str.zfill(11)
    text = pl.lit(PROMPT) + pl.col("body")
    content = pl.concat_list(pl.struct(type=pl.lit("text"), text=text))
    body = pl.struct(
        anthropic_version=pl.lit("bedrock-2023-05-31"),
        max_tokens=pl.lit(64),
        messages=pl.concat_list(pl.struct(role=pl.lit("user"), content=content)),
    )
    rows = pl.read_parquet(corpus / "*.parquet").sort(hashed).with_columns(record_id=record_id)
    file = pl.col("body").str.len_bytes().cum_sum() // _SHARD_BYTES
    files = rows.with_columns(file=file).group_by("file", maintain_order=True)
    for (number,), part in files:
        lines = part.select(recordId="record_id", modelInput=body)
        lines.write_ndjson(folder / f"{number:05d}.jsonl")
    rows.select("record_id", "ticket_id", "subject").write_parquet(
        folder / "rows.parquet", compression="zstd"
    )


def with_python(corpus: Path, folder: Path) -> None:
    """Write records as simple scripts do: json.dumps per record, one file, no ids, no rows."""
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


def fresh(home: Path, name: str) -> Path:
    folder = home / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def programs(spark: SparkSession, home: Path, corpus: Path) -> Programs:
    return {
        OURS: lambda: prepare_corpus(spark, corpus, home / "ours"),
        BY_SPARK: lambda: prepare_corpus(spark, corpus, home / "ours", by_spark=True),
        "duckdb": lambda: with_duckdb(corpus, fresh(home, "duckdb")),
        "polars": lambda: with_polars(corpus, fresh(home, "polars")),
    }


def compare(spark: SparkSession, home: Path, corpus: Path, text_bytes: int, rows: int) -> None:
    prepare_corpus(spark, corpus, home / "warm-up")
    prepare_corpus(spark, corpus, home / "warm-up", by_spark=True)
    few_rows = rows // TIMES
    write_corpus(home / "few", few_rows)
    few = Rounds.of(programs(spark, home, home / "few"))
    many = versus(
        "prepare",
        GOAL,
        programs(spark, home, corpus),
        BY_SPARK,
        rows=rows,
        text_megabytes=round(text_bytes / 1e6),
    )
    report_break_even("prepare", (few_rows, rows), few, many, BY_SPARK)
    child = subprocess.run(
        [sys.executable, __file__, "--plain-python", str(corpus), str(fresh(home, "python"))],
        capture_output=True,
        text=True,
        check=True,
    )
    plain = json.loads(child.stdout)
    report(
        "prepare_vs_python",
        many.median(OURS) / plain["seconds"],
        "ratio",
        1.0,
        "lower",
        python_seconds=round(plain["seconds"], 2),
        python_peak_megabytes=round(plain["peak_megabytes"]),
    )


def plain_python(corpus: str, folder: str) -> None:
    loop_seconds = seconds(lambda: with_python(Path(corpus), Path(folder)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": loop_seconds, "peak_megabytes": peak}))


def scale(home: Path, rows: int) -> None:
    corpora = {}
    for times in (1, TIMES):
        corpora[times] = home / f"corpus-{times}"
        write_corpus(corpora[times], rows * times)
    once, more = (scaled(__file__, corpora[1], corpora[times], home) for times in (1, TIMES))
    report_scale("prepare", rows, once, more)


def scale_corpora(warm_up: str, corpus: str, folder: str) -> None:
    home = Path(folder)
    scale_run(
        lambda spark: prepare_corpus(spark, Path(warm_up), home / "warm-up"),
        lambda spark: prepare_corpus(spark, Path(corpus), home / "timed"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--scale-rows", type=int, default=SCALE_ROWS)
    parser.add_argument("--plain-python", nargs=2, metavar=("CORPUS", "FOLDER"))
    parser.add_argument("--scale-run", nargs=3, metavar=("WARM_UP", "CORPUS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.plain_python:
        plain_python(*arguments.plain_python)
        return
    if arguments.scale_run:
        scale_corpora(*arguments.scale_run)
        return
    with tempfile.TemporaryDirectory(prefix="bench-prepare-") as name:
        home = Path(name)
        if arguments.rows:
            text_bytes = write_corpus(home / "corpus", arguments.rows)
            with bench_session() as spark:
                compare(spark, home, home / "corpus", text_bytes, arguments.rows)
        if arguments.scale_rows:
            scale(home, arguments.scale_rows)


if __name__ == "__main__":
    main()
