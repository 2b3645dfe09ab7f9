"""A program that runs commands of `bedrock-spark` one after another, with one Spark session.

    python -m tests.e2e.one_process '[["run", "tickets.yaml"], ["plan", "tickets.yaml"]]' TABLE

It prints a line of JSON for each: its exit code, and what it printed. Then it prints how many rows
of the Delta table at TABLE have which outcome. A process and a session for each command would take
most of the time of a test.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from pyspark.sql import SparkSession

from bedrock_spark.cli import main
from bedrock_spark.spark import session


def run(arguments: list[str]) -> tuple[int, str]:
    """Run a command; return its exit code, and what it printed to stdout and stderr."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main(arguments)
        except SystemExit as exc:
            return int(exc.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def outcomes(table: str) -> dict[str, int]:
    """Return how many rows of a Delta table have which outcome."""
    spark = SparkSession.getActiveSession()
    assert spark is not None
    rows = spark.read.format("delta").load(table).groupBy("outcome").count().collect()
    return {row["outcome"]: row["count"] for row in rows}


if __name__ == "__main__":
    end_session = session.end_session
    session.end_session = lambda: None
    try:
        for command in json.loads(sys.argv[1]):
            print(json.dumps(run(command)), flush=True)  # noqa: T201 - for the test
        print(json.dumps(outcomes(sys.argv[2])))  # noqa: T201
    finally:
        end_session()
