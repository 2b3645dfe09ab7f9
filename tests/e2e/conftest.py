from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from tests.forked_emulator import BUCKET, BedrockServer, ForkedBedrock
from tests.spark_sessions import CLAUDE_MODEL, shared_session


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    return shared_session()


@pytest.fixture(autouse=True, scope="session")
def _session_before_commands(spark: SparkSession) -> None:
    """Start the shared session before a test runs a command in this process.

    Such a command would start a session and end its Java process, and PySpark would go on to use
    its connection: all later tests would fail.
    """


@pytest.fixture
def bedrock(bedrock_server: BedrockServer) -> Iterator[Callable[..., LocalBedrock]]:
    """Return a function that starts a local Bedrock with a bucket; a job takes a moment there."""
    started: list[LocalBedrock] = []

    def start(
        faults: dict[str, Any] | None = None, speed: float = 3000.0, **settings: Any
    ) -> LocalBedrock:
        options = {"faults": faults, "speed": speed, "seed": 11, **settings}
        local = ForkedBedrock(bedrock_server, **options)
        local.start()
        started.append(local)
        local.client("s3").create_bucket(Bucket=BUCKET)
        return local

    yield start
    for local in started:
        local.stop()


def provision(local: LocalBedrock, model_id: str = CLAUDE_MODEL) -> str:
    """Create a provisioned throughput and return its ARN. It is not in service at once."""
    created = local.client("bedrock").create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName="e2e", modelId=model_id
    )
    arn: str = created["provisionedModelArn"]
    return arn
