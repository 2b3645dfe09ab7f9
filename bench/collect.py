"""Compare collect with DuckDB, Polars and plain Spark doing the same join.

    python bench/collect.py [--rows 600000] [--scale-rows 80000]

All programs read the same output lines and the same rows on the same machine in one run, and write
the same columns. Collect, DuckDB and Polars take turns, and the figure is the median of the
ratios. They take turns on a tenth of the rows, too, to tell from how many rows on a cluster is
faster. The cost of ten times the rows is measured in child processes, so that each has its own peak
of memory.
"""

from __future__ import annotations

import argparse
import datetime as dt
import pickle
import shutil
import tempfile
from pathlib import Path

import duckdb
import polars as pl
from common.collected import CollectFolder
from common.corpus import write_corpus
from common.figures import report
from common.prepared import seconds
from common.scale import TIMES, report_scale, scale_run, scaled
from common.spark_session import bench_session
from common.versus import OURS, Programs, Rounds, report_break_even, versus
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.spark.collect.stage import collect

ROWS = 600_000
SCALE_ROWS = 80_000
GOAL = 1.0
# Dollars per 1,000 tokens.
INPUT, OUTPUT = 0.0005, 0.0025
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
            parse_dirname(o.filename) AS job_arn, 'run' AS run_id, 'model' AS model_id,
            NULL::VARCHAR AS request_digest,
            TIMESTAMPTZ '2026-11-01 00:00:00+00' AS answered_at,
            (input_tokens * {INPUT} + output_tokens * {OUTPUT}) / 1000 AS cost_usd
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


# What Polars is told of a model's answer; it skips the fields of a line that it is not told of.
_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_POLARS_LINE = {
    "recordId": pl.String,
    "modelOutput": pl.Struct(
        {
            **dict.fromkeys(("id", "type", "role", "model"), pl.String),
            "content": pl.List(pl.Struct({"type": pl.String, "text": pl.String})),
            **dict.fromkeys(("stop_reason", "stop_sequence"), pl.String),
            "usage": pl.Struct(dict.fromkeys(_USAGE, pl.Int64)),
        }
    ),
    "error": pl.Struct({"errorCode": pl.Int32, "errorMessage": pl.String}),
}


def with_polars(made: CollectFolder, target: Path) -> None:
    """Read the lines, join the rows, write the same columns as zstd Parquet."""
    target.unlink(missing_ok=True)
    lines = pl.scan_ndjson(
        f"{made.folder}/output/*/*/*/*.jsonl.out",
        schema=_POLARS_LINE,
        include_file_paths="file",
    )
    answer, error = pl.col("modelOutput").struct, pl.col("error").struct
    content, usage = answer.field("content"), answer.field("usage").struct
    rows = pl.scan_parquet(f"{made.folder}/rows/*/*.parquet")
    text = pl.lit(None, pl.String)
    joined = rows.join(lines, left_on="_bs_record_id", right_on="recordId", how="left").select(
        "ticket_id",
        "subject",
        record_id="_bs_record_id",
        outcome=pl.when(pl.col("error").is_not_null())
        .then(pl.lit("error"))
        .when(pl.col("modelOutput").is_not_null())
        .then(pl.lit("ok"))
        .otherwise(pl.lit("missing")),
        text=content.list.first().struct.field("text"),
        reasoning=text,
        tool_input=text,
        embedding=pl.lit(None, pl.List(pl.Float32)),
        images=pl.lit(None, pl.List(pl.String)),
        stop_reason=answer.field("stop_reason"),
        input_tokens=usage.field("input_tokens"),
        output_tokens=usage.field("output_tokens"),
        reasoning_tokens=pl.lit(None, pl.Int64),
        cache_read_tokens=usage.field("cache_read_input_tokens"),
        cache_write_tokens=usage.field("cache_creation_input_tokens"),
        model_output=answer.json_encode(),
        error_code=error.field("errorCode"),
        error_message=error.field("errorMessage"),
        served_by=pl.lit("batch"),
        attempt=pl.lit(1),
        job_arn=pl.col("file").str.extract(r"([^/]+)/[^/]+$"),
        run_id=pl.lit("run"),
        model_id=pl.lit("model"),
        request_digest=text,
        answered_at=pl.lit(dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
        cost_usd=(usage.field("input_tokens") * INPUT + usage.field("output_tokens") * OUTPUT)
        / 1000,
    )
    joined.collect(engine="streaming").write_parquet(target, compression="zstd")
    assert pl.scan_parquet(target).filter(outcome="ok").select(pl.len()).collect().item() == (
        made.rows
    )


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
    rows = spark.read.parquet(f"{made.folder}/rows/*").withColumnRenamed(
        "_bs_record_id", "record_id"
    )
    joined = rows.join(answers, on="record_id", how="left")
    joined.write.mode("overwrite").option("compression", "zstd").parquet(str(target))


def programs(spark: SparkSession, home: Path, made: CollectFolder) -> Programs:
    return {
        OURS: lambda: with_us(spark, made),
        "duckdb": lambda: with_duckdb(made, home / "duckdb"),
        "polars": lambda: with_polars(made, home / "polars.parquet"),
    }


def compare(spark: SparkSession, home: Path, few_made: CollectFolder, made: CollectFolder) -> None:
    few = Rounds.of(programs(spark, home, few_made))
    many = versus(
        "collect",
        GOAL,
        programs(spark, home, made),
        rows=made.rows,
        shards=len(made.manifest.shards),
        output_megabytes=round(made.line_bytes / 1e6),
    )
    report_break_even("collect", (few_made.rows, made.rows), few, many)
    plain = seconds(lambda: with_plain_spark(spark, made, home / "spark"))
    report(
        "collect_vs_plain_spark",
        many.median(OURS) / plain,
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
            few_made = CollectFolder(home / "corpus", home / "few", arguments.rows // TIMES)
            with bench_session() as spark:
                with_us(spark, few_made)
                compare(spark, home, few_made, made)
        if arguments.scale_rows:
            scale(home, arguments.scale_rows)


if __name__ == "__main__":
    main()
