"""One clock serves everything. If it runs fast, clients are told, and the pipeline hears it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import BatchJobs
from tests.forked_emulator import BedrockServer, ForkedBedrock
from tests.unit.fakes import FakeClock

from .kit import Kit


@pytest.mark.parametrize(("speed", "heard"), [(0.0, 1.0), (1.0, 1.0), (2.5, 2.5), (3000.0, 3000.0)])
def test_the_pipeline_hears_how_fast_the_clock_is(
    bedrock_server: BedrockServer, speed: float, heard: float
) -> None:
    """With the first listing of jobs. A clock that stands still is advanced by hand."""
    with ForkedBedrock(bedrock_server, faults=None, speed=speed, seed=7) as local:
        jobs = BatchJobs(local.client("bedrock"), FakeClock())
        assert jobs.list("x") == []
        assert jobs.speed == heard


def test_one_clock_serves_jobs_filters_and_dates_of_s3(kit: Kit) -> None:
    """Whatever is made after ten emulated days has a date of then, and no filter misses it."""
    kit.local.advance_clock(10 * 86_400)
    before = now(kit)
    later = Kit.open(kit.local)
    arn = later.submit(3)
    job = later.settle(arn)
    after = now(kit)
    assert before > datetime.now(UTC) + timedelta(days=9)
    buckets = {b["Name"]: b["CreationDate"] for b in kit.s3.list_buckets()["Buckets"]}
    objects = kit.s3.list_objects_v2(Bucket=later.bucket)["Contents"]
    head = kit.s3.head_object(Bucket=later.bucket, Key=objects[0]["Key"])
    dates = [job["submitTime"], job["endTime"], buckets[later.bucket], head["LastModified"]]
    dates += [item["LastModified"] for item in objects]
    assert len(dates) > 5
    assert all(before <= date <= after for date in dates), dates

    def listed(**filters: Any) -> list[str]:
        found = kit.bedrock.list_model_invocation_jobs(maxResults=1000, **filters)
        return [summary["jobArn"] for summary in found["invocationJobSummaries"]]

    assert arn in listed(submitTimeAfter=before, submitTimeBefore=after)
    assert arn not in listed(submitTimeAfter=after)
    assert arn not in listed(submitTimeBefore=before)


def now(kit: Kit) -> datetime:
    """Return the emulated time, to the second: dates of S3 have no fractions."""
    return datetime.fromtimestamp(int(kit.local.now()), UTC)
