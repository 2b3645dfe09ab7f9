"""Run one task of the fallback as a process, so that a test can kill it.

python -m tests.e2e.killed_fallback FOLDER ENDPOINT RECORDS
"""

from __future__ import annotations

import sys

import msgspec

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import FallbackConfig
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.spark.fallback.task import FallbackTask
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import CLAUDE

SHARD, PREPARE_ID = "shard-00000-00", "0a1b2c3d4e5f"
CONCURRENCY = 16
ROUND = "round"


def main(folder: str, endpoint: str, records: str, digest: str) -> None:
    """Ask the first `records` unanswered records of the shard; print the task's result as JSON."""
    task = FallbackTask(
        LocalStorage(folder),
        AwsSettings("us-east-1", endpoint),
        FallbackConfig(model_id=CLAUDE, concurrency=CONCURRENCY, tokens_per_minute=10**9),
        CLAUDE,
        "anthropic",
        40,
        "run-1",
        PREPARE_ID,
        ROUND,
    )
    part = Part(SHARD, 0, int(records), digest)
    sys.stdout.buffer.write(msgspec.json.encode(task([part])))


if __name__ == "__main__":
    main(*sys.argv[1:])
