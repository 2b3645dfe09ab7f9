"""Compare collect with DuckDB and with plain Spark doing the same join.

    python bench/collect.py [--rows 600000] [--scale-rows 80000]

All programs read the same output lines and the same rows on the same machine in one run, and write
the same columns. Collect and DuckDB take turns, and the figure is the median of the ratios. The
cost of ten times the rows is measured in child processes, so that each has its own peak of memory.
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import tempfile
from pathlib import Path

import duckdb
from common.collected import CollectFolder
from common.corpus import write_corpus
from common.figures import report
from common.prepared import seconds
from common.scale import TIMES, report_scale, scale_run, scaled
from common.spark_session import bench_session
from common.versus import versus_duckdb
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.spark.collect.stage import collect

ROWS = 600_000
SCALE_ROWS = 80_000
WARM_UP_ROWS = 20_000
_ANSWER = (
    "struct<content: array<struct<type: string, text: string>>, stop_reason: string,"
    " usage: struct<input_tokens: bigint, output_tokens: bigint>>"
)


def with_us(spark: SparkSession, made: CollectFolder) -> None:
    """Collect after deleting earlier results; check that every row was answered."""
    made.forget()
    reconciled = collect(spark, made.run, made.manifest, made.jobs)
    assert sum(shard.outcomes["ok"] for shard in reconciled) == made.rows
    assert not any(shard.findings for shard in reconciled)


def with_duckdb(made: CollectFolder, target: Path) -> None:
    """Read the lines, join the rows, write the same columns as zstd Parquet."""
    shutil.rmtree(target, ignore_errors=True)
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute(f"""
        COPY (
          SELECT r.ticket_id, r.subject, r._bs_record_id AS record_id,
            CASE WHEN o.error IS NOT NULL THEN 'error' WHEN o.modelOutput IS NOT NULL THEN 'ok'
              ELSE 'missing' END AS outcome,
            o.modelOutput->>'$.content[0].text' AS text,
            NULL::VARCHAR AS reasoning, NULL::VARCHAR AS tool_input, NULL::FLOAT[] AS embedding,
            NULL::VARCHAR[] AS images, o.modelOutput->>'$.stop_reason' AS stop_reason,
            (o.modelOutput->'$.usage.input_tokens')::BIGINT AS input_tokens,
            (o.modelOutput->'$.usage.output_tokens')::BIGINT AS output_tokens,
            NULL::BIGINT AS reasoning_tokens,
            (o.modelOutput->'$.usage.cache_read_input_tokens')::BIGINT AS cache_read_tokens,
            (o.modelOutput->'$.usage.cache_creation_input_tokens')::BIGINT AS cache_write_tokens,
            o.modelOutput::VARCHAR AS model_output,
            (o.error->'$.errorCode')::INT AS error_code,
            o.error->>'$.errorMessage' AS error_message, 'batch' AS served_by, 1 AS attempt,
            parse_dirname(o.filename) AS job_arn
          FROM read_parquet('{made.folder}/rows/*/*.parquet') r
          LEFT JOIN read_json('{made.folder}/output/*/*/*/*.jsonl.out',
            format = 'newline_delimited', filename = true, maximum_object_size = 67108864,
            columns = {{recordId: 'VARCHAR', modelOutput: 'JSON', error: 'JSON'}}) o
          ON o.recordId = r._bs_record_id)
        TO '{target}' (FORMAT parquet, COMPRESSION zstd, PER_THREAD_OUTPUT true)""")
    rows = connection.execute(
        f"SELECT count(*) FROM read_parquet('{target}/*.parquet') WHERE outcome = 'ok'"
    ).fetchone()
    connection.close()
    assert rows == (made.rows,)


def with_plain_spark(spark: SparkSession, made: CollectFolder, target: Path) -> None:
    """Do the work as a notebook does: read.json with a schema, a join, a write."""
    lines = spark.read.schema("recordId string, modelOutput string, error string").json(
        f"{made.folder}/output/*/*/*/*.jsonl.out"
    )
    answer = F.from_json("modelOutput", _ANSWER)
    answers = lines.withColumn("answer", answer).select(
        F.col("recordId").alias("record_id"),
        F.when(F.col("error").isNotNull(), "error").otherwise("ok").alias("outcome"),
        F.col("answer.content")[0]["text"].alias("text"),
        F.col("answer.stop_reason").alias("stop_reason"),
        F.col("answer.usage.input_tokens").alias("input_tokens"),
        F.col("answer.usage.output_tokens").alias("output_tokens"),
        F.col("modelOutput").alias("model_output"),
        F.get_json_object("error", "$.errorCode").cast("int").alias("error_code"),
        F.get_json_object("error", "$.errorMessage").alias("error_message"),
    )
    rows = spark.read.parquet(f"{made.folder}/rows").withColumnRenamed("_bs_record_id", "record_id")
    joined = rows.join(answers, on="record_id", how="left")
    joined.write.mode("overwrite").option("compression", "zstd").parquet(str(target))


def compare(spark: SparkSession, home: Path, made: CollectFolder) -> None:
    our_seconds = versus_duckdb(
        "collect",
        lambda: with_us(spark, made),
        lambda: with_duckdb(made, home / "duckdb"),
        rows=made.rows,
        shards=len(made.manifest.shards),
        output_megabytes=round(made.line_bytes / 1e6),
    )
    plain = seconds(lambda: with_plain_spark(spark, made, home / "spark"))
    report(
        "collect_vs_plain_spark",
        our_seconds / plain,
        "ratio",
        1.0,
        "lower",
        spark_seconds=round(plain, 2),
    )


def scale(home: Path, rows: int) -> None:
    write_corpus(home / "scale-corpus", rows * TIMES)
    once, more = (_scaled(home, rows * times) for times in (1, TIMES))
    report_scale("collect", rows, once, more)


def _scaled(home: Path, rows: int) -> dict[str, float]:
    """Measure collect in a child process. The folders are made here, outside of its peak."""
    files = []
    for name, count in (("warm-up", min(rows, WARM_UP_ROWS)), ("timed", rows)):
        made = CollectFolder(home / "scale-corpus", home / name, count)
        files.append(home / f"{name}.pickle")
        files[-1].write_bytes(pickle.dumps(made))
    return scaled(__file__, *files)


def scale_folders(warm_up: str, folder: str) -> None:
    warm, made = (pickle.loads(Path(name).read_bytes()) for name in (warm_up, folder))
    scale_run(lambda spark: with_us(spark, warm), lambda spark: with_us(spark, made))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--scale-rows", type=int, default=SCALE_ROWS)
    parser.add_argument("--scale-run", nargs=2, metavar=("WARM_UP", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.scale_run:
        scale_folders(*arguments.scale_run)
        return
    with tempfile.TemporaryDirectory(prefix="bench-collect-") as name:
        home = Path(name)
        if arguments.rows:
            write_corpus(home / "corpus", arguments.rows)
            made = CollectFolder(home / "corpus", home / "run", arguments.rows)
            warm_up = CollectFolder(
                home / "corpus", home / "warm", min(arguments.rows, WARM_UP_ROWS)
            )
            with bench_session() as spark:
                with_us(spark, warm_up)
                compare(spark, home, made)
        if arguments.scale_rows:
            scale(home, arguments.scale_rows)


if __name__ == "__main__":
    main()
