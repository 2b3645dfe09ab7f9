"""A clock that runs fast is told to clients, and the pipeline hears it."""

from __future__ import annotations

import pytest

from bedrock_spark.aws.batch_jobs import BatchJobs
from tests.forked_emulator import BedrockServer, ForkedBedrock
from tests.unit.fakes import FakeClock


@pytest.mark.parametrize(("speed", "heard"), [(0.0, 1.0), (1.0, 1.0), (2.5, 2.5), (3000.0, 3000.0)])
def test_the_pipeline_hears_how_fast_the_clock_is(
    bedrock_server: BedrockServer, speed: float, heard: float
) -> None:
    """With the first listing of jobs. A clock that stands still is advanced by hand."""
    with ForkedBedrock(bedrock_server, faults=None, speed=speed, seed=7) as local:
        jobs = BatchJobs(local.client("bedrock"), FakeClock())
        assert jobs.list("x") == []
        assert jobs.speed == heard
