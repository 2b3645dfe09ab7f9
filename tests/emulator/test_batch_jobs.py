"""How a batch job goes on and ends, and how jobs are listed, seen through boto3."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, Kit, refusal


def test_a_job_goes_through_the_statuses_to_its_end(kit: Kit) -> None:
    """Submitted, Validating, Scheduled, InProgress, Completed; counts zero until processing."""
    arn = kit.submit(50)
    seen = []
    while "Completed" not in seen:
        job = kit.job(arn)
        if job["status"] not in seen:
            seen.append(job["status"])
        if job["status"] in ("Submitted", "Validating", "Scheduled"):
            assert job["totalRecordCount"] == job["processedRecordCount"] == 0
        kit.local.advance_clock(20)
    assert seen == ["Submitted", "Validating", "Scheduled", "InProgress", "Completed"]
    assert job["totalRecordCount"] == job["processedRecordCount"] == 50
    assert job["successRecordCount"] == 50
    assert job["submitTime"] < job["endTime"] == job["lastModifiedTime"]
    # 60 + 180 + 60 + 300 + 50 * 0.3 seconds.
    assert (job["endTime"] - job["submitTime"]).total_seconds() == pytest.approx(615, abs=0.1)


def test_processed_records_grow_while_a_job_runs(kit: Kit) -> None:
    """Half of the time, half of the records."""
    arn = kit.submit(100)
    kit.until(arn, lambda status: status == "InProgress", step=10)
    kit.local.advance_clock(165)
    job = kit.job(arn)
    assert job["status"] == "InProgress"
    assert job["totalRecordCount"] == 100
    assert 40 <= job["processedRecordCount"] <= 60


def test_the_model_comes_back_as_an_arn(kit: Kit) -> None:
    """Clients must not compare it with what they sent."""
    job = kit.job(kit.submit(1))
    assert job["modelId"] == f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}"
    profile = kit.job(kit.submit(1, modelId=f"us.{CLAUDE}"))
    assert profile["modelId"].endswith(f":123456789012:inference-profile/us.{CLAUDE}")
    assert job["timeoutDurationInHours"] == 24
    assert (job["jobExpirationTime"] - job["submitTime"]).total_seconds() == 86_400


def test_regions_do_not_see_each_others_jobs(kit: Kit) -> None:
    """An ARN of one Region is not found in another."""
    arn = kit.submit(1)
    elsewhere = kit.local.client("bedrock", region_name="eu-west-1")
    assert elsewhere.list_model_invocation_jobs()["invocationJobSummaries"] == []
    get = elsewhere.get_model_invocation_job
    assert refusal(get, jobIdentifier=arn) == "ResourceNotFoundException"
    assert kit.job(arn[-12:])["jobArn"] == arn


def test_stop_keeps_what_was_processed(kit: Kit) -> None:
    """Stopping, then Stopped with the records done by then, and a bill for those."""
    arn = kit.submit(200)
    kit.until(arn, lambda status: status == "InProgress", step=10)
    kit.local.advance_clock(180)
    kit.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert kit.status(arn) == "Stopping"
    job = kit.settle(arn)
    assert job["status"] == "Stopped"
    assert 0 < job["processedRecordCount"] < 200
    assert len(kit.lines(arn)) == job["processedRecordCount"]
    assert kit.manifest(arn)["processedRecordCount"] == job["processedRecordCount"]
    bills = {bill["job_arn"]: bill for bill in kit.local.usage()["jobs"]}
    assert bills[arn]["records_billed"] == job["processedRecordCount"]
    assert refusal(kit.bedrock.stop_model_invocation_job, jobIdentifier=arn) == "ConflictException"


def test_stop_before_processing_leaves_no_output(kit: Kit) -> None:
    """Nothing was done, nothing is billed."""
    arn = kit.submit(10)
    kit.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    job = kit.settle(arn)
    assert (job["status"], job["processedRecordCount"]) == ("Stopped", 0)
    assert kit.lines(arn) == []
    assert arn not in kit.local.usage()["records"]


def test_a_timeout_while_it_runs_ends_partially_completed(kit: Kit) -> None:
    """A job of more records than a day takes: what fitted is there."""
    rule = {"name": f"{kit.bucket}*", "slowdown": 200}
    kit.local.set_faults({"quotas": {"min_records": 1, "active_jobs": 1000}, "jobs": [rule]})
    # 200 * (300 + 400 * 0.3) seconds would be 23.3 hours; with 500 records it is 25.
    short, long = (kit.submit(n, jobName=f"{kit.bucket}-{n}") for n in (400, 500))
    job = kit.settle(long)
    assert kit.status(short) == "Completed"
    assert job["status"] == "PartiallyCompleted"
    assert job["totalRecordCount"] == 500
    assert 450 < job["processedRecordCount"] < 500
    assert len(kit.lines(long)) == job["processedRecordCount"]
    assert job["endTime"] == job["jobExpirationTime"]
    # A longer timeout is what such a job needs.
    patient = kit.submit(500, jobName=f"{kit.bucket}-p", timeoutDurationInHours=48)
    assert kit.settle(patient)["status"] == "Completed"


def test_jobs_are_listed_in_pages_with_filters(kit: Kit) -> None:
    """Newest first unless asked otherwise, tokens that go on, filters that hold."""
    arns = []
    for number in range(7):
        arns.append(kit.submit(1, jobName=f"{kit.bucket}-paged-{number}"))
        kit.local.advance_clock(10)
    pages = kit.bedrock.get_paginator("list_model_invocation_jobs").paginate(
        nameContains=f"{kit.bucket}-paged", PaginationConfig={"PageSize": 3}
    )
    found = [[job["jobArn"] for job in page["invocationJobSummaries"]] for page in pages]
    assert [len(page) for page in found] == [3, 3, 1]
    assert [arn for page in found for arn in page] == arns[::-1]
    middle = kit.job(arns[3])["submitTime"]

    def listed(**filters: object) -> list[str]:
        answer = kit.bedrock.list_model_invocation_jobs(
            nameContains=f"{kit.bucket}-paged", sortOrder="Ascending", **filters
        )
        return [job["jobArn"] for job in answer["invocationJobSummaries"]]

    assert listed() == arns
    assert listed(submitTimeAfter=middle) == arns[4:]
    assert listed(submitTimeBefore=middle) == arns[:3]
    assert listed(statusEquals="Completed") == []
    kit.settle(arns[0])
    assert listed(statusEquals="Completed") == arns
    with pytest.raises(ClientError, match="nextToken"):
        kit.bedrock.list_model_invocation_jobs(nextToken="made-up")


def test_jobs_have_tags(kit: Kit) -> None:
    """From their creation, and changed later; unknown resources are not found."""
    arn = kit.submit(1, tags=[{"key": "team", "value": "a"}])
    kit.bedrock.tag_resource(resourceARN=arn, tags=[{"key": "stage", "value": "b"}])
    kit.bedrock.untag_resource(resourceARN=arn, tagKeys=["team"])
    tags = kit.bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
    assert tags == [{"key": "stage", "value": "b"}]
    many = [{"key": f"k{n}", "value": ""} for n in range(51)]
    assert refusal(kit.bedrock.tag_resource, resourceARN=arn, tags=many) == "TooManyTagsException"
    tags_of, nobody = kit.bedrock.list_tags_for_resource, f"{arn[:-12]}abcdefghijkl"
    assert refusal(tags_of, resourceARN=nobody) == "ResourceNotFoundException"


def test_output_can_be_seen_too_early(kit: Kit) -> None:
    """Some lines lie there while a job runs, without a manifest: a status is worth waiting for."""
    arn = kit.submit(100)
    kit.until(arn, lambda status: status == "InProgress", step=10)
    kit.local.advance_clock(200)
    assert kit.status(arn) == "InProgress"
    assert 0 < len(kit.lines(arn)) < 100
    assert "manifest.json.out" not in kit.keys(arn)
    assert arn not in kit.local.usage()["records"]
    kit.settle(arn)
    assert len(kit.lines(arn)) == 100
