"""Run the prepare that the benchmarks measure: tickets become records for a Claude model."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config, parse_config
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.models import CLAUDE

PROMPT = "Classify this ticket as bug, question or wish. Answer with one word.\n\n"
MAX_RECORDS, MAX_BYTES = 50_000, 200_000_000


def bench_config(corpus: Path, folder: Path) -> Config:
    """Return the config of a run over a corpus of tickets."""
    return parse_config(
        {
            "run_uri": str(folder),
            "source": {
                "format": "parquet",
                "path": str(corpus),
                "key": ["ticket_id"],
                "columns": ["ticket_id", "subject"],
            },
            "model": {"id": CLAUDE},
            "request": {"prompt": PROMPT + "{{ body }}", "max_tokens": 64},
            "shards": {"max_records": MAX_RECORDS, "max_bytes": MAX_BYTES},
            "batch": {"role_arn": "arn:aws:iam::123456789012:role/bench"},
        }
    )


def prepare_corpus(
    spark: SparkSession, corpus: Path, folder: Path, *, by_spark: bool = False
) -> RunManifest:
    """Prepare a corpus in a folder, after deleting that folder.

    by_spark: by Spark's shuffle, as on a cluster
    """
    shutil.rmtree(folder, ignore_errors=True)
    run = open_run(bench_config(corpus, folder), SystemClock())
    if not by_spark:
        return prepare(spark, run)
    with patch("bedrock_spark.spark.prepare.stage.find_plain_files", return_value=None):
        return prepare(spark, run)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started
