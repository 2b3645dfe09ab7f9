"""How a batch job is created, goes on and ends, seen through boto3."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, Kit, ask, record


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


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


def test_output_lies_where_bedrock_puts_it_in_another_order(kit: Kit) -> None:
    """One `.out` per input, a manifest, each record once, order not kept, keys as seen in real."""
    arn = kit.submit(60)
    kit.settle(arn)
    names = kit.keys(arn)
    assert len(names) == 2
    assert names[1] == "manifest.json.out"
    assert names[0].endswith(".jsonl.out")
    lines = kit.lines(arn)
    ids = [line["recordId"] for line in lines]
    assert sorted(ids) == [record(n)["recordId"] for n in range(60)]
    assert ids != sorted(ids)
    assert list(lines[0]) == ["modelInput", "modelOutput", "recordId"]
    assert lines[0]["modelInput"] == record(int(ids[0][3:]))["modelInput"]
    usage = [line["modelOutput"]["usage"] for line in lines]
    assert kit.manifest(arn) == {
        "totalRecordCount": 60,
        "processedRecordCount": 60,
        "successRecordCount": 60,
        "errorRecordCount": 0,
        "inputTokenCount": sum(item["input_tokens"] for item in usage),
        "outputTokenCount": sum(item["output_tokens"] for item in usage),
    }


def test_text_comes_back_raw_and_unharmed(kit: Kit) -> None:
    """Non-ASCII is not escaped, and separators that Python splits lines on stay in their line."""
    text = "Größe \u0085 \u2028 商品 \U0001f600 \ud800 end"
    arn = kit.submit([{"recordId": "A", "modelInput": ask(text)}])
    kit.settle(arn)
    (line,) = kit.lines(arn)
    assert line["modelInput"]["messages"][0]["content"] == text
    plain = kit.submit([{"recordId": "A", "modelInput": ask("Größe 商品")}])
    kit.settle(plain)
    assert "商品".encode() in kit.read(plain, kit.keys(plain)[0])


def test_bodies_a_model_refuses_are_errors_of_their_records(kit: Kit) -> None:
    """modelInput is not validated before a job runs: the job completes with errors in it."""
    bad = [
        {"recordId": "no-version", "modelInput": {"max_tokens": 5, "messages": []}},
        {"recordId": "model-id", "modelInput": ask("hi", modelId=CLAUDE)},
        {"recordId": "no-input"},
        {"recordId": "text", "modelInput": "hello"},
        record(1),
    ]
    arn = kit.submit(bad)
    job = kit.settle(arn)
    assert job["status"] == "Completed"
    assert (job["successRecordCount"], job["errorRecordCount"]) == (1, 4)
    errors = {line["recordId"]: line.get("error") for line in kit.lines(arn)}
    assert errors["no-version"]["errorCode"] == 400
    assert "anthropic_version: Field required" in errors["no-version"]["errorMessage"]
    assert "Extra inputs are not permitted" in errors["model-id"]["errorMessage"]
    assert errors["REC00000001"] is None
    assert set(errors["text"]) == {"errorCode", "errorMessage", "expired", "retryable"}


def test_a_record_without_an_id_gets_one(kit: Kit) -> None:
    """Eleven letters or digits, its own for each."""
    arn = kit.submit([{"modelInput": ask("one")}, {"modelInput": ask("two")}])
    kit.settle(arn)
    ids = {line["recordId"] for line in kit.lines(arn)}
    assert len(ids) == 2
    assert all(len(item) == 11 and item.isalnum() for item in ids)


def test_a_prefix_takes_all_jsonl_files_under_it(kit: Kit) -> None:
    """One output for each input, other objects passed over."""
    kit.put("pre/a.jsonl", [record(1), record(2)])
    kit.put("pre/b.jsonl", [record(3)])
    kit.put("pre/_SUCCESS", b"")
    kit.put("prefix-of-another.jsonl", [record(4)])
    request = kit.request(f"s3://{kit.bucket}/pre")
    arn = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
    assert kit.settle(arn)["totalRecordCount"] == 3
    assert kit.keys(arn) == ["a.jsonl.out", "b.jsonl.out", "manifest.json.out"]
    ids = [json.loads(line)["recordId"] for line in kit.read(arn, "b.jsonl.out").splitlines()]
    assert ids == ["REC00000003"]


@pytest.mark.parametrize(
    ("content", "quotas", "message"),
    [
        (b"{}\nnot json\n", {}, "Line 2 of input file"),
        (b"{}\n[1]\n", {}, "is not a JSON object"),
        (b"{}\n", {"min_records": 2}, "less records (1) than the required minimum of: 2"),
        (b"{}\n{}\n{}\n", {"max_records": 2}, "allowed maximum of: 2"),
        (b"{}\n{}\n", {"max_file_bytes": 3}, "more than the allowed maximum of: 3"),
        (b"{}\n{}\n", {"max_job_bytes": 4}, "more than the allowed maximum of: 4"),
    ],
)
def test_input_the_service_refuses_fails_the_job(
    kit: Kit, content: bytes, quotas: dict[str, int], message: str
) -> None:
    """Asynchronously: status Failed with a message, counts zero, a manifest without lines."""
    kit.local.set_faults({"quotas": {"min_records": 1, **quotas}})
    arn = kit.submit(content)
    kit.local.advance_clock(250)
    job = kit.job(arn)
    assert job["status"] == "Failed"
    assert message in job["message"]
    assert job["totalRecordCount"] == 0
    assert kit.keys(arn) == ["manifest.json.out"]
    # Real jobs without output were seen with a manifest of this size.
    assert len(kit.read(arn, "manifest.json.out")) == 23


def test_input_that_is_not_there_or_not_jsonl_fails_the_job(kit: Kit) -> None:
    """The bucket is checked at once, the object while the job is Validating."""
    kit.put("records.json", [record(1)])
    for uri in (f"s3://{kit.bucket}/nothing.jsonl", f"s3://{kit.bucket}/records.json"):
        arn = kit.bedrock.create_model_invocation_job(**kit.request(uri))["jobArn"]
        assert kit.settle(arn)["status"] == "Failed"
        assert ".jsonl" in kit.job(arn)["message"]


def test_a_token_makes_creation_idempotent(kit: Kit) -> None:
    """Same token and parameters: the same job, also after it ended. Other ones: a conflict."""
    request = kit.request(kit.put("t.jsonl", [record(1)]), clientRequestToken="token-a")
    first = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
    assert kit.bedrock.create_model_invocation_job(**request)["jobArn"] == first
    kit.settle(first)
    assert kit.bedrock.create_model_invocation_job(**request)["jobArn"] == first
    with pytest.raises(ClientError) as error:
        kit.bedrock.create_model_invocation_job(**{**request, "timeoutDurationInHours": 48})
    assert _code(error) == "ConflictException"
    jobs = kit.bedrock.list_model_invocation_jobs(nameContains=request["jobName"])
    assert len(jobs["invocationJobSummaries"]) == 1


def test_a_job_name_is_used_once(kit: Kit) -> None:
    """Another token does not help."""
    request = kit.request(kit.put("n.jsonl", [record(1)]))
    kit.bedrock.create_model_invocation_job(**request)
    with pytest.raises(ClientError) as error:
        kit.bedrock.create_model_invocation_job(**request)
    assert _code(error) == "ConflictException"


def test_the_quota_of_active_jobs_is_per_model_and_frees_up(kit: Kit) -> None:
    """ServiceQuotaExceeded, status 400, until one of them has settled."""
    kit.local.advance_clock(7 * 86_400)
    kit.local.set_faults({"quotas": {"min_records": 1, "active_jobs": 2}})
    first = kit.submit(1)
    kit.submit(1)
    with pytest.raises(ClientError) as error:
        kit.submit(1)
    assert _code(error) == "ServiceQuotaExceededException"
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
    """Models that have no batch inference, roles and buckets of nobody."""
    with pytest.raises(ClientError) as error:
        kit.submit(1, **changes)
    assert _code(error) == code


def test_buckets_of_other_owners_and_regions_are_refused(kit: Kit) -> None:
    """Bucket and job in one Region, and the owner as expected."""
    uri = kit.put("o.jsonl", [record(1)])
    foreign = {"s3InputDataConfig": {"s3Uri": uri, "s3BucketOwner": "111111111111"}}
    with pytest.raises(ClientError, match="Could not validate GetObject permissions"):
        kit.submit(1, inputDataConfig=foreign)
    elsewhere = kit.local.client("bedrock", region_name="eu-west-1")
    with pytest.raises(ClientError, match="Could not validate GetObject permissions"):
        elsewhere.create_model_invocation_job(**kit.request(uri))


def test_regions_do_not_see_each_others_jobs(kit: Kit) -> None:
    """An ARN of one Region is not found in another."""
    arn = kit.submit(1)
    elsewhere = kit.local.client("bedrock", region_name="eu-west-1")
    assert elsewhere.list_model_invocation_jobs()["invocationJobSummaries"] == []
    with pytest.raises(ClientError) as error:
        elsewhere.get_model_invocation_job(jobIdentifier=arn)
    assert _code(error) == "ResourceNotFoundException"
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
    with pytest.raises(ClientError) as error:
        kit.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert _code(error) == "ConflictException"


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


def test_converse_records_come_back_with_every_member_of_the_union(kit: Kit) -> None:
    """Null where absent: `"text" in block` is always true in a batch."""
    turns = [{"role": "user", "content": [{"text": "Hello there"}]}]
    records = [
        {"recordId": "ok", "modelInput": {"messages": turns, "inferenceConfig": {"maxTokens": 9}}},
        {"recordId": "extra", "modelInput": {"messages": turns, "modelId": CLAUDE}},
        {
            "recordId": "thinking",
            "modelInput": {
                "messages": turns,
                "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
            },
        },
        {
            "recordId": "cache",
            "modelInput": {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}],
                    }
                ]
            },
        },
    ]
    arn = kit.submit(records, modelInvocationType="Converse")
    kit.settle(arn)
    found = {line["recordId"]: line for line in kit.lines(arn)}
    output = found["ok"]["modelOutput"]
    (block,) = output["output"]["message"]["content"]
    assert block["text"]
    assert block["toolUse"] is None
    assert block["image"] is None
    assert output["usage"]["cacheReadInputTokenCount"] is None
    assert output["usage"]["outputTokens"] <= 9
    assert "extraneous key [modelId]" in found["extra"]["error"]["errorMessage"]
    assert "extraneous key [thinking]" in found["thinking"]["error"]["errorMessage"]
    assert found["cache"]["error"]["errorCode"] == 403


def test_duplicate_ids_are_taken(kit: Kit) -> None:
    """The service does not refuse them, as far as is known: uniqueness is the caller's care."""
    arn = kit.submit([record(1), record(1)])
    assert kit.settle(arn)["successRecordCount"] == 2
    assert kit.local.usage()["records"][arn] == {"REC00000001": 2}


def test_jobs_have_tags(kit: Kit) -> None:
    """From their creation, and changed later; unknown resources are not found."""
    arn = kit.submit(1, tags=[{"key": "team", "value": "a"}])
    kit.bedrock.tag_resource(resourceARN=arn, tags=[{"key": "stage", "value": "b"}])
    kit.bedrock.untag_resource(resourceARN=arn, tagKeys=["team"])
    tags = kit.bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
    assert tags == [{"key": "stage", "value": "b"}]
    many = [{"key": f"k{n}", "value": ""} for n in range(51)]
    with pytest.raises(ClientError) as error:
        kit.bedrock.tag_resource(resourceARN=arn, tags=many)
    assert _code(error) == "TooManyTagsException"
    with pytest.raises(ClientError) as error:
        kit.bedrock.list_tags_for_resource(resourceARN=f"{arn[:-12]}abcdefghijkl")
    assert _code(error) == "ResourceNotFoundException"


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


def test_a_record_nested_too_deep_fails_alone(kit: Kit) -> None:
    """Or its line is not JSON for the service; never the emulator's own failure."""
    for depth in (50, 900, 990, 5000):
        nested = b'{"recordId":"a","modelInput":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}\n"
        arn = kit.submit(nested + b'{"recordId":"b","modelInput":{}}\n')
        job = kit.settle(arn)
        assert job["status"] in ("Completed", "Failed")
        assert "internal error" not in job.get("message", "")


def test_creations_at_the_same_time_are_one_after_the_other(kit: Kit) -> None:
    """One token makes one job, and no more jobs start than there are slots."""
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
        found = list(pool.map(create, [kit.request(uri) for _ in range(8)]))
    assert found.count("ServiceQuotaExceededException") == 5
