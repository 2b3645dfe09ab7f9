"""A task of the fallback as a process of its own, to be killed: FOLDER ENDPOINT RECORDS."""

from __future__ import annotations

import json
import sys

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import FallbackConfig
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.spark.fallback.task import FallbackTask
from bedrock_spark.storage import LocalStorage
from tests.sparks import CLAUDE

SHARD = "shard-00000-00"
CONCURRENCY = 16


def main(folder: str, endpoint: str, records: str) -> None:
    """Ask all stragglers of the shard, and print what it came to."""
    task = FallbackTask(
        LocalStorage(folder),
        AwsSettings("us-east-1", endpoint),
        FallbackConfig(model_id=CLAUDE, concurrency=CONCURRENCY, tokens_per_minute=10**9),
        CLAUDE,
        "anthropic",
        40,
        "round",
    )
    sys.stdout.write(json.dumps(task([Part(SHARD, 0, int(records))])))


if __name__ == "__main__":
    main(*sys.argv[1:])
