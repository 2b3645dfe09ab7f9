"""The life of a batch job, and lists of jobs, as boto3 shows them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, CLAUDE_MODEL, Kit, refusal


def test_a_job_goes_through_the_statuses_to_its_end(kit: Kit) -> None:
    """Submitted, Validating, Scheduled, InProgress, Completed; counts are 0 until InProgress."""
    arn = kit.submit(50)
    statuses = []
    while "Completed" not in statuses:
        job = kit.job(arn)
        if job["status"] not in statuses:
            statuses.append(job["status"])
        if job["status"] in ("Submitted", "Validating", "Scheduled"):
            assert job["totalRecordCount"] == job["processedRecordCount"] == 0
        kit.local.advance_clock(20)
    assert statuses == ["Submitted", "Validating", "Scheduled", "InProgress", "Completed"]
    assert job["totalRecordCount"] == job["processedRecordCount"] == 50
    assert job["successRecordCount"] == 50
    assert job["submitTime"] < job["endTime"] == job["lastModifiedTime"]
    # 60 + 180 + 60 + 300 + 50 * 0.3 seconds.
    assert (job["endTime"] - job["submitTime"]).total_seconds() == pytest.approx(615, abs=0.1)


def test_processed_records_grow_while_a_job_runs(kit: Kit) -> None:
    """After half of the processing time, half of the records are processed."""
    arn = kit.submit(100)
    kit.until(arn, lambda status: status == "InProgress", step=10)
    kit.local.advance_clock(165)
    job = kit.job(arn)
    assert job["status"] == "InProgress"
    assert job["totalRecordCount"] == 100
    assert 40 <= job["processedRecordCount"] <= 60


def test_get_returns_the_model_as_an_arn(kit: Kit) -> None:
    """It is not the id that was sent, so clients must not compare the two."""
    job = kit.job(kit.submit(1))
    assert job["modelId"].endswith(f":123456789012:inference-profile/{CLAUDE}")
    bare = kit.job(kit.submit(1, modelId=CLAUDE_MODEL))
    assert bare["modelId"] == f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}"
    assert job["timeoutDurationInHours"] == 24
    assert (job["jobExpirationTime"] - job["submitTime"]).total_seconds() == 86_400


def test_regions_do_not_see_each_others_jobs(kit: Kit) -> None:
    """A job of one Region is not found in another, by list or by ARN."""
    arn = kit.submit(1)
    elsewhere = kit.local.client("bedrock", region_name="eu-west-1")
    assert elsewhere.list_model_invocation_jobs()["invocationJobSummaries"] == []
    get = elsewhere.get_model_invocation_job
    assert refusal(get, jobIdentifier=arn) == "ResourceNotFoundException"
    assert kit.job(arn[-12:])["jobArn"] == arn


def test_stop_keeps_processed_records(kit: Kit) -> None:
    """Stopping, then Stopped: the records processed until then are in the output and billed."""
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
    """No record was processed, so none is billed."""
    arn = kit.submit(10)
    kit.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    job = kit.settle(arn)
    assert (job["status"], job["processedRecordCount"]) == ("Stopped", 0)
    assert kit.lines(arn) == []
    assert arn not in kit.local.usage()["records"]


def test_a_timeout_while_it_runs_ends_partially_completed(kit: Kit) -> None:
    """A job that needs more than a day has in its output the records processed in that day."""
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
    # With a longer timeout such a job completes.
    two_days = kit.submit(500, jobName=f"{kit.bucket}-p", timeoutDurationInHours=48)
    assert kit.settle(two_days)["status"] == "Completed"


def test_jobs_are_listed_in_pages_with_filters(kit: Kit) -> None:
    """Newest first unless `sortOrder` says otherwise; tokens and filters work."""
    arns = []
    for number in range(7):
        arns.append(kit.submit(1, jobName=f"{kit.bucket}-paged-{number}"))
        kit.local.advance_clock(10)
    pages = kit.bedrock.get_paginator("list_model_invocation_jobs").paginate(
        nameContains=f"{kit.bucket}-paged", PaginationConfig={"PageSize": 3}
    )
    arn_pages = [[job["jobArn"] for job in page["invocationJobSummaries"]] for page in pages]
    assert [len(page) for page in arn_pages] == [3, 3, 1]
    assert [arn for page in arn_pages for arn in page] == arns[::-1]
    middle = kit.job(arns[3])["submitTime"]

    def listed(**filters: object) -> list[str]:
        reply = kit.bedrock.list_model_invocation_jobs(
            nameContains=f"{kit.bucket}-paged", sortOrder="Ascending", **filters
        )
        return [job["jobArn"] for job in reply["invocationJobSummaries"]]

    assert listed() == arns
    assert listed(submitTimeAfter=middle) == arns[4:]
    assert listed(submitTimeBefore=middle) == arns[:3]
    assert listed(statusEquals="Completed") == []
    kit.settle(arns[0])
    assert listed(statusEquals="Completed") == arns
    with pytest.raises(ClientError, match="nextToken"):
        kit.bedrock.list_model_invocation_jobs(nextToken="made-up")


def test_jobs_have_tags(kit: Kit) -> None:
    """Tags are set at creation and can be changed; at most 50; unknown resources are not found."""
    arn = kit.submit(1, tags=[{"key": "team", "value": "a"}])
    kit.bedrock.tag_resource(resourceARN=arn, tags=[{"key": "stage", "value": "b"}])
    kit.bedrock.untag_resource(resourceARN=arn, tagKeys=["team"])
    tags = kit.bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
    assert tags == [{"key": "stage", "value": "b"}]
    many = [{"key": f"k{n}", "value": ""} for n in range(51)]
    assert refusal(kit.bedrock.tag_resource, resourceARN=arn, tags=many) == "TooManyTagsException"
    list_tags, unknown = kit.bedrock.list_tags_for_resource, f"{arn[:-12]}abcdefghijkl"
    assert refusal(list_tags, resourceARN=unknown) == "ResourceNotFoundException"


def test_a_running_job_has_part_of_its_output(kit: Kit) -> None:
    """Some lines are there before the manifest, so clients must wait for a settled status."""
    arn = kit.submit(100)
    kit.until(arn, lambda status: status == "InProgress", step=10)
    kit.local.advance_clock(200)
    assert kit.status(arn) == "InProgress"
    assert 0 < len(kit.lines(arn)) < 100
    assert "manifest.json.out" not in kit.keys(arn)
    assert arn not in kit.local.usage()["records"]
    kit.settle(arn)
    assert len(kit.lines(arn)) == 100
