"""Fault scripts: scripted faults happen, and the same seed causes the same faults again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic import ValidationError

from bedrock_emulator.faults import Faults, QuotaChange, read_faults
from tests.forked_emulator import BedrockServer, ForkedBedrock

from .kit import CLAUDE, CLAUDE_MODEL, Kit, ask, record
from .raw_http import RawClient

_SMALL = {"min_records": 1, "active_jobs": 1000}


def _outcomes(call: Any, times: int) -> list[str]:
    """Make a call `times` times; return "ok", "dropped" or the error code of each."""
    outcomes = []
    for _ in range(times):
        try:
            call()
        except ClientError as exc:
            outcomes.append(exc.response["Error"]["Code"])
        except ConnectionClosedError:
            outcomes.append("dropped")
        else:
            outcomes.append("ok")
    return outcomes


def test_an_unknown_key_in_a_script_is_refused() -> None:
    """Otherwise a misspelt key would silently cause no fault."""
    with pytest.raises(ValidationError, match="throtle_rate"):
        read_faults({"operations": {"InvokeModel": {"throtle_rate": 1}}})


def test_a_script_at_run_time_is_checked_too(kit: Kit) -> None:
    """PUT /_emulator/faults returns 400 with the mistake, and the old script stays in force."""
    with pytest.raises(ValueError, match="throtle_rate"):
        kit.local.set_faults({"operations": {"*": {"throtle_rate": 1}}})
    kit.submit(1)


@pytest.mark.parametrize("name", ["faults.yaml", "faults.json"])
def test_a_script_is_read_from_a_file(tmp_path: Any, name: str) -> None:
    """YAML or JSON, with the same meaning as a dict."""
    script = {"quotas": {"active_jobs": 3}, "jobs": [{"nth": [2], "end": "Expired"}]}
    path = tmp_path / name
    path.write_text(json.dumps(script))
    assert read_faults(path) == read_faults(script)


def test_throttling_hits_the_named_operation_only(kit: Kit) -> None:
    """The call fails with ThrottlingException and status 429."""
    kit.local.set_faults({"operations": {"ListModelInvocationJobs": {"throttle_rate": 1.0}}})
    with pytest.raises(ClientError) as error:
        kit.bedrock.list_model_invocation_jobs()
    assert error.value.response["Error"]["Code"] == "ThrottlingException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    kit.bedrock.list_foundation_models()


def test_the_same_seed_refuses_the_same_calls(bedrock_server: BedrockServer) -> None:
    """The shares of refused calls are about those of the script."""
    script = {"operations": {"InvokeModel": {"throttle_rate": 0.3, "error_rate": 0.2}}}
    body = json.dumps(ask("hi")).encode()
    runs = []
    for seed in (1, 1, 2):
        with ForkedBedrock(bedrock_server, faults=script, speed=0, seed=seed) as local:
            raw = RawClient(local.endpoint_url)
            path = f"/model/{CLAUDE}/invoke"
            runs.append([raw.send("POST", path, body).error for _ in range(60)])
    assert runs[0] == runs[1] != runs[2]
    assert 8 <= runs[0].count("ThrottlingException") <= 30
    assert 3 <= runs[0].count("InternalServerException") <= 20


def test_connections_drop_before_or_after_the_effect(kit: Kit) -> None:
    """The caller sees the same error, whether the job was created or not."""
    create = "CreateModelInvocationJob"
    uri = kit.put("a.jsonl", [record(1)])
    count = kit.local.requests().get(create, 0)
    kit.local.set_faults(
        {
            "quotas": _SMALL,
            "operations": {create: {"drop_before": [count + 1], "drop_after": [count + 2]}},
        }
    )
    request = kit.request(uri, name=f"{kit.bucket}-dropped", clientRequestToken="drop")

    def listed() -> int:
        reply = kit.bedrock.list_model_invocation_jobs(nameContains=request["jobName"])
        return len(reply["invocationJobSummaries"])

    def call() -> object:
        return kit.bedrock.create_model_invocation_job(**request)

    assert _outcomes(call, 1) == ["dropped"]
    assert listed() == 0
    assert _outcomes(call, 1) == ["dropped"]
    assert listed() == 1
    assert _outcomes(call, 1) == ["ok"]
    assert listed() == 1
    assert kit.local.errors()[f"{create} dropped connection"] == 2


def test_s3_calls_fail_too(kit: Kit) -> None:
    """S3 throttles with SlowDown instead of ThrottlingException."""
    kit.local.set_faults({"operations": {"s3:PUT": {"throttle_rate": 1.0}}})
    with pytest.raises(ClientError) as error:
        kit.put("a.jsonl", [record(1)])
    assert error.value.response["Error"]["Code"] == "SlowDown"
    kit.s3.list_objects_v2(Bucket=kit.bucket)


def test_latency_is_real_and_bounded(kit: Kit) -> None:
    """It is near the median and below the maximum, in real time although the clock is stopped."""
    slow = {"median_ms": 60, "sigma": 0.5, "max_ms": 90}
    kit.local.set_faults({"operations": {"GetFoundationModel": {"latency": slow}}})
    started = time.monotonic()
    for _ in range(5):
        kit.bedrock.get_foundation_model(modelIdentifier=CLAUDE_MODEL)
    assert 0.03 < time.monotonic() - started < 5


def test_quotas_change_with_the_emulated_time() -> None:
    """A change is in force from its time on, and a later change replaces an earlier one."""
    changes = (
        QuotaChange(after_seconds=100, active_jobs=5),
        QuotaChange(after_seconds=50, active_jobs=3),
    )
    faults = Faults(quota_changes=changes)
    quotas = [faults.quotas_at(seconds).active_jobs for seconds in (0, 49, 50, 99, 100, 1000)]
    assert quotas == [20, 20, 3, 3, 5, 5]


def test_quota_changes_reach_the_operations(kit: Kit) -> None:
    """CreateModelInvocationJob is refused while the quota is 0, and accepted after the change."""
    kit.local.advance_clock(7 * 86_400)
    later = [{"after_seconds": 3600, "active_jobs": 9}]
    kit.local.set_faults({"quotas": {**_SMALL, "active_jobs": 0}, "quota_changes": later})
    with pytest.raises(ClientError):
        kit.submit(1)
    kit.local.advance_clock(3600)
    kit.submit(1)


def test_list_lags_and_get_does_not(kit: Kit) -> None:
    """List shows a job late, and then with an old status."""
    kit.local.set_faults({"quotas": _SMALL, "list_lag_seconds": 100})
    arn = kit.submit(1)
    name = kit.job(arn)["jobName"]

    def listed() -> list[str]:
        reply = kit.bedrock.list_model_invocation_jobs(nameContains=name)
        return [job["status"] for job in reply["invocationJobSummaries"]]

    kit.local.advance_clock(70)
    assert (kit.status(arn), listed()) == ("Validating", [])
    kit.local.advance_clock(50)
    assert (kit.status(arn), listed()) == ("Validating", ["Submitted"])


def test_records_with_retryable_errors_succeed_on_retry(kit: Kit) -> None:
    """Errors are drawn per record and job: the next job has others, and InvokeModel has none."""
    kit.local.set_faults({"quotas": _SMALL, "records": [{"share": 0.2, "code": 500}]})
    failed = []
    for number in range(2):
        # A fixed job name, because the errors drawn depend on it.
        arn = kit.submit(200, jobName=f"retryable-{number}")
        kit.settle(arn)
        lines = kit.lines(arn)
        failed.append({line["recordId"] for line in lines if "error" in line})
        (error,) = {json.dumps(line["error"]) for line in lines if "error" in line}
        assert json.loads(error)["errorCode"] == 500
        assert json.loads(error)["retryable"] is True
    assert all(20 < len(ids) < 65 for ids in failed)
    assert failed[0] != failed[1]
    for item in sorted(failed[0]):
        body = record(int(item[3:]))["modelInput"]
        kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))


def test_permanent_record_errors_depend_on_the_body(kit: Kit) -> None:
    """The same bodies fail in each job and in InvokeModel, in any order of their keys."""
    rule = {"share": 0.2, "code": 400, "message": "no"}
    kit.local.set_faults({"quotas": _SMALL, "records": [rule]})
    failed = []
    for _ in range(2):
        arn = kit.submit(100)
        kit.settle(arn)
        failed.append({line["recordId"] for line in kit.lines(arn) if "error" in line})
    assert failed[0] == failed[1]
    assert 5 < len(failed[0]) < 40
    for number in range(100):
        body = dict(reversed(record(number)["modelInput"].items()))
        outcome = _outcomes(
            lambda b=body: kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(b)), 1
        )
        refused = record(number)["recordId"] in failed[0]
        assert outcome == (["ValidationException"] if refused else ["ok"])


def test_named_records_fail(kit: Kit) -> None:
    """A rule with `record_ids` makes only those records fail."""
    rule = {"record_ids": ["REC00000003"], "code": 429}
    kit.local.set_faults({"quotas": _SMALL, "records": [rule]})
    arn = kit.submit(5)
    kit.settle(arn)
    assert [x["recordId"] for x in kit.lines(arn) if "error" in x] == ["REC00000003"]


@pytest.mark.parametrize("end", ["Expired", "Failed", "PartiallyCompleted", "Stopped"])
def test_jobs_end_as_the_script_says(kit: Kit, end: str) -> None:
    """With `count: 1` only the first matching job fails: the next attempt completes."""
    rule = {"name": f"{kit.bucket}*", "count": 1, "end": end, "processed_share": 0.25}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [rule]})
    arn = kit.submit(40, jobName=f"{kit.bucket}-a")
    second = kit.submit(40, jobName=f"{kit.bucket}-b")
    job = kit.settle(arn)
    assert job["status"] == end
    processed = 10 if end in ("PartiallyCompleted", "Stopped") else 0
    assert job["processedRecordCount"] == processed
    assert len(kit.lines(arn)) == processed
    assert kit.job(second)["status"] == "Completed"


def test_rules_select_jobs_by_their_number(kit: Kit) -> None:
    """`nth` is the number of a job in order of creation. The first rule that applies is used."""
    number = kit.local.requests().get("CreateModelInvocationJob", 0)
    jobs = len(_all_jobs(kit))
    rules = [{"nth": [jobs + 2], "end": "Failed", "message": "scripted"}, {"nth": [jobs + 1, 1]}]
    kit.local.set_faults({"quotas": _SMALL, "jobs": rules})
    first, second = kit.submit(1), kit.submit(1)
    assert kit.settle(first)["status"] == "Completed"
    assert kit.job(second)["message"] == "scripted"
    assert kit.local.requests()["CreateModelInvocationJob"] == number + 2


def _all_jobs(kit: Kit) -> list[Any]:
    pages = kit.bedrock.get_paginator("list_model_invocation_jobs").paginate()
    return [job for page in pages for job in page["invocationJobSummaries"]]


def test_unprocessed_records_can_be_output_as_expired(kit: Kit) -> None:
    """It is unknown if real jobs write or omit them, so clients should handle both."""
    rule = {"end": "PartiallyCompleted", "processed_share": 0.5, "unprocessed": "expired"}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [rule]})
    arn = kit.submit(10)
    kit.settle(arn)
    lines = kit.lines(arn)
    assert len(lines) == 10
    assert sum(line.get("error", {}).get("expired", False) for line in lines) == 5
    assert kit.local.usage()["records"][arn].keys() == {
        line["recordId"] for line in lines if "error" not in line
    }


def test_a_stuck_job_expires_at_its_timeout(kit: Kit) -> None:
    """Until then it stays Scheduled."""
    kit.local.set_faults({"quotas": _SMALL, "jobs": [{"stick": "Scheduled"}]})
    arn = kit.submit(1)
    kit.local.advance_clock(86_400 - 60)
    assert kit.status(arn) == "Scheduled"
    kit.local.advance_clock(120)
    job = kit.job(arn)
    assert (job["status"], job["endTime"]) == ("Expired", job["jobExpirationTime"])


def test_a_completed_job_can_have_no_success(kit: Kit) -> None:
    """A job is Completed even if all its records failed."""
    rule = {"all_records": {"code": 400, "message": "anthropic_version: Field required"}}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [rule]})
    arn = kit.submit(10)
    job = kit.settle(arn)
    assert (job["status"], job["errorRecordCount"]) == ("Completed", 10)
    assert all(line["error"]["errorCode"] == 400 for line in kit.lines(arn))


def test_output_can_lack_and_repeat_lines(kit: Kit) -> None:
    """Records without a line were processed and billed; usage lists them as undelivered."""
    output = {"missing_lines": 0.2, "duplicated_lines": 0.2}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [{"output": output}]})
    arn = kit.submit(100, jobName="lacks-and-repeats")
    kit.settle(arn)
    ids = [line["recordId"] for line in kit.lines(arn)]
    missing = {record(n)["recordId"] for n in range(100)} - set(ids)
    assert 5 < len(missing) < 45
    assert 5 < len(ids) - len(set(ids)) < 45
    assert kit.manifest(arn)["processedRecordCount"] == 100
    usage = kit.local.usage()
    assert len(usage["records"][arn]) == 100
    assert set(usage["undelivered"][arn]) == missing


def test_output_files_can_be_broken_or_missing(kit: Kit) -> None:
    """A cut last line, wrong counts in the manifest, no output file, no manifest, error lines."""
    names = ["truncated", "wrong_manifest", "no_output", "no_manifest", "errors_in_model_output"]
    bad = {"recordId": "bad", "modelInput": {}}
    arns = {}
    for name in names:
        kit.local.set_faults({"quotas": _SMALL, "jobs": [{"output": {name: True}}]})
        arns[name] = kit.submit([record(1), record(2), bad])
        kit.settle(arns[name])
    raw = kit.read(arns["truncated"], kit.keys(arns["truncated"])[0]).split(b"\n")
    assert len(raw) == 3
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        json.loads(raw[-1])
    assert kit.manifest(arns["wrong_manifest"])["totalRecordCount"] == 10
    assert kit.keys(arns["no_output"]) == ["manifest.json.out"]
    assert len(kit.keys(arns["no_manifest"])) == 1
    lines = {line["recordId"]: line for line in kit.lines(arns["errors_in_model_output"])}
    assert lines["bad"]["modelOutput"]["errorCode"] == 400


def test_output_can_come_after_the_last_status(kit: Kit) -> None:
    """A job is Completed with its counts, and only later its manifest and all its lines are there.

    Until then its folder holds what was there half-way, and nothing is billed.
    """
    late = {"output": {"late_seconds": 3600}}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [late]})
    arn = kit.submit(20)
    kit.until(arn, lambda status: status == "Completed")
    job = kit.job(arn)
    assert job["successRecordCount"] == job["totalRecordCount"] == 20
    assert "manifest.json.out" not in kit.keys(arn)
    assert len(kit.lines(arn)) < 20
    assert arn not in kit.local.usage()["records"]

    kit.local.advance_clock(3600)
    assert len(kit.lines(arn)) == kit.manifest(arn)["successRecordCount"] == 20
    assert len(kit.local.usage()["records"][arn]) == 20


def test_access_can_be_denied(kit: Kit) -> None:
    """A script can deny roles, buckets, and batch inference of a model in the Region."""
    access = {
        "denied_roles": ["*/nobody"],
        "denied_buckets": [kit.bucket],
        "models_without_batch": ["amazon.nova-pro*"],
    }
    kit.local.set_faults({"quotas": _SMALL, "access": access})
    with pytest.raises(ClientError, match="AccessDenied"):
        kit.submit(1, roleArn="arn:aws:iam::123456789012:role/nobody")
    with pytest.raises(ClientError, match="Could not validate"):
        kit.submit(1)
    with pytest.raises(ClientError, match="Batch inference is not supported"):
        kit.submit(1, modelId="amazon.nova-pro-v1:0")
