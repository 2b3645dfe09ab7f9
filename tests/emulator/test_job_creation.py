"""Creation of batch jobs: which requests are accepted, and how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.models import CLAUDE_MODEL

from .kit import Kit, record, refusal

MIN = {"quotas": {"min_records": 1}}


def test_a_token_makes_creation_idempotent(kit: Kit) -> None:
    """The same request returns the same job, even after its end; another one is ignored."""
    request = kit.request(kit.put("t.jsonl", [record(1)]), clientRequestToken="token-a")
    first = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
    assert kit.bedrock.create_model_invocation_job(**request)["jobArn"] == first
    kit.settle(first)
    assert kit.bedrock.create_model_invocation_job(**request)["jobArn"] == first
    other = {**request, "timeoutDurationInHours": 48}
    assert kit.bedrock.create_model_invocation_job(**other)["jobArn"] == first
    kit.local.set_faults({"behaviour": {"used_token": "refuse"}, **MIN})
    assert refusal(kit.bedrock.create_model_invocation_job, **other) == "ConflictException"
    jobs = kit.bedrock.list_model_invocation_jobs(nameContains=request["jobName"])
    assert len(jobs["invocationJobSummaries"]) == 1


def test_a_job_name_is_used_once(kit: Kit) -> None:
    """A second request with the same name is refused, though its token is another one."""
    request = kit.request(kit.put("n.jsonl", [record(1)]))
    kit.bedrock.create_model_invocation_job(**request)
    assert refusal(kit.bedrock.create_model_invocation_job, **request) == "ConflictException"


def test_a_script_frees_the_names_of_settled_jobs(kit: Kit) -> None:
    """Then the new job has an id of its own."""
    kit.local.set_faults({"behaviour": {"used_name": "refuse_while_active"}, **MIN})
    request = kit.request(kit.put("n.jsonl", [record(1)]))
    first = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
    assert refusal(kit.bedrock.create_model_invocation_job, **request) == "ConflictException"
    kit.settle(first)
    assert kit.bedrock.create_model_invocation_job(**request)["jobArn"] != first


def test_the_quota_of_active_jobs_is_per_model_and_frees_up(kit: Kit) -> None:
    """ServiceQuotaExceededException with status 400, until one of the jobs has settled."""
    kit.local.advance_clock(7 * 86_400)
    kit.local.set_faults({"quotas": {"min_records": 1, "active_jobs": 2}})
    first = kit.submit(1)
    kit.submit(1)
    with pytest.raises(ClientError, match="ServiceQuotaExceededException") as error:
        kit.submit(1)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    kit.submit(1, modelId="amazon.nova-lite-v1:0")
    kit.settle(first)
    kit.submit(1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modelId": "nobody.model-v1:0"}, "ValidationException"),
        (
            {"modelId": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl"},
            "ValidationException",
        ),
        ({"roleArn": "arn:aws:iam::999999999999:role/batch"}, "AccessDeniedException"),
        ({"jobName": "under_score"}, "ValidationException"),
        (
            {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://no-such-bucket/a.jsonl"}}},
            "ValidationException",
        ),
        (
            {"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://no-such-bucket/"}}},
            "ValidationException",
        ),
    ],
)
def test_creation_is_refused(kit: Kit, changes: dict[str, object], code: str) -> None:
    """For unknown models, foreign roles, invalid names and missing buckets."""
    assert refusal(kit.submit, 1, **changes) == code


def test_buckets_of_other_owners_and_regions_are_refused(kit: Kit) -> None:
    """A bucket must be in the job's Region and have the expected owner."""
    uri = kit.put("o.jsonl", [record(1)])
    foreign = {"s3InputDataConfig": {"s3Uri": uri, "s3BucketOwner": "111111111111"}}
    with pytest.raises(ClientError, match="Could not validate GetObject permissions"):
        kit.submit(1, inputDataConfig=foreign)
    elsewhere = kit.local.client("bedrock", region_name="eu-west-1")
    with pytest.raises(ClientError, match="Could not validate GetObject permissions"):
        elsewhere.create_model_invocation_job(**kit.request(uri, modelId=CLAUDE_MODEL))


def test_concurrent_creations_do_not_race(kit: Kit) -> None:
    """One token creates one job, and no more jobs start than the quota allows."""
    uri = kit.put("c.jsonl", [record(1)])
    same = kit.request(uri, clientRequestToken="token-c")

    def create(request: dict[str, Any]) -> str:
        try:
            return str(kit.bedrock.create_model_invocation_job(**request)["jobArn"])
        except ClientError as exc:
            return str(exc.response["Error"]["Code"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create, [same] * 8))) == 1
        kit.local.advance_clock(7 * 86_400)
        kit.local.set_faults({"quotas": {"min_records": 1, "active_jobs": 3}})
        outcomes = list(pool.map(create, [kit.request(uri) for _ in range(8)]))
    assert outcomes.count("ServiceQuotaExceededException") == 5
