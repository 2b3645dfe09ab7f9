"""The Spark session that all tests share, and configs of test runs."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from bedrock_spark.config import Config, parse_config
from tests.models import CLAUDE as CLAUDE
from tests.models import CLAUDE_MODEL as CLAUDE_MODEL

ROLE = "arn:aws:iam::123456789012:role/BedrockBatchInference"


def shared_session() -> SparkSession:
    """Return a local session with two cores. A session that already runs is reused."""
    session = (
        SparkSession.builder.master("local[2]")
        .appName("bedrock-spark-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.session.timeZone", "America/New_York")
        .config("spark.task.maxFailures", "2")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    return session


def make_config(run_uri: str, **sections: Any) -> Config:
    """Return a config that asks Claude about the column `body`.

    sections: values to merge over the default sections
    """
    values: dict[str, Any] = {
        "run_uri": run_uri,
        # Many tests reject a large share of a small table.
        "source": {"key": ["id"], "max_rejects": None},
        "model": {"id": CLAUDE},
        "request": {"prompt": "Classify: {{ body }}", "max_tokens": 40},
        "shards": {"max_records": 100, "min_records": 10},
        "batch": {"role_arn": ROLE, "region": "us-east-1", "poll_seconds": 0.05},
        # Off, because many tests count calls. Tests of the canary switch it on.
        "canary": {"records": 0},
    }
    for name, section in sections.items():
        can_merge = isinstance(section, dict) and isinstance(values.get(name), dict)
        values[name] = {**values[name], **section} if can_merge else section
    if values.get("fallback"):
        # Many tests let a large share of a small run fail.
        values["fallback"] = {"max_share": 1.0, **values["fallback"]}
    return parse_config(values)
