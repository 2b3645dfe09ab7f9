"""Scripted trouble: what is asked for happens, the same again for the same seed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic import ValidationError

from bedrock_emulator.faults import Faults, QuotaChange, read_faults
from tests.bedrocks import BedrockServer, ForkedBedrock

from .kit import CLAUDE, Kit, ask, record
from .raw_http import RawClient

_SMALL = {"min_records": 1, "active_jobs": 1000}


def _outcomes(call: Any, times: int) -> list[str]:
    found = []
    for _ in range(times):
        try:
            call()
        except ClientError as exc:
            found.append(exc.response["Error"]["Code"])
        except ConnectionClosedError:
            found.append("dropped")
        else:
            found.append("ok")
    return found


def test_an_unknown_word_in_a_script_is_refused() -> None:
    """A typing error must not mean that no fault happens."""
    with pytest.raises(ValidationError, match="throtle_rate"):
        read_faults({"operations": {"InvokeModel": {"throtle_rate": 1}}})


def test_a_script_at_run_time_is_checked_too(kit: Kit) -> None:
    """PUT /_emulator/faults answers 400 with what is wrong, and the old script stays."""
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
    """ThrottlingException with status 429; the first n, or a share."""
    kit.local.set_faults({"operations": {"ListModelInvocationJobs": {"throttle_rate": 1.0}}})
    with pytest.raises(ClientError) as error:
        kit.bedrock.list_model_invocation_jobs()
    assert error.value.response["Error"]["Code"] == "ThrottlingException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    kit.bedrock.list_foundation_models()


def test_shares_of_calls_are_replayed_by_the_seed(bedrock_server: BedrockServer) -> None:
    """Two emulators of one seed refuse the same calls; about as many as asked."""
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


def test_a_connection_dropped_before_has_no_effect_and_after_has(kit: Kit) -> None:
    """The caller sees the same in both cases, which is the point."""
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
        found = kit.bedrock.list_model_invocation_jobs(nameContains=request["jobName"])
        return len(found["invocationJobSummaries"])

    def call() -> object:
        return kit.bedrock.create_model_invocation_job(**request)

    assert _outcomes(call, 1) == ["dropped"]
    assert listed() == 0
    assert _outcomes(call, 1) == ["dropped"]
    assert listed() == 1
    assert _outcomes(call, 1) == ["ok"]
    assert listed() == 1
    assert kit.local.errors()[f"{create} dropped connection"] == 2


def test_s3_has_trouble_too(kit: Kit) -> None:
    """SlowDown with status 503 for throttling, as S3 spells it."""
    kit.local.set_faults({"operations": {"s3:PUT": {"throttle_rate": 1.0}}})
    with pytest.raises(ClientError) as error:
        kit.put("a.jsonl", [record(1)])
    assert error.value.response["Error"]["Code"] == "SlowDown"
    kit.s3.list_objects_v2(Bucket=kit.bucket)


def test_latency_is_real_and_bounded(kit: Kit) -> None:
    """Median and maximum hold; the fake clock does not change it."""
    slow = {"median_ms": 60, "sigma": 0.5, "max_ms": 90}
    kit.local.set_faults({"operations": {"GetFoundationModel": {"latency": slow}}})
    started = time.monotonic()
    for _ in range(5):
        kit.bedrock.get_foundation_model(modelIdentifier=CLAUDE)
    assert 0.03 < time.monotonic() - started < 5


def test_quotas_change_with_the_emulated_time() -> None:
    """Later changes win over earlier ones, and nothing changes before its time."""
    changes = (
        QuotaChange(after_seconds=100, active_jobs=5),
        QuotaChange(after_seconds=50, active_jobs=3),
    )
    faults = Faults(quota_changes=changes)
    found = [faults.quotas_at(seconds).active_jobs for seconds in (0, 49, 50, 99, 100, 1000)]
    assert found == [20, 20, 3, 3, 5, 5]


def test_quota_changes_reach_the_operations(kit: Kit) -> None:
    """No slot at first, some after a while."""
    kit.local.advance_clock(7 * 86_400)
    later = [{"after_seconds": 3600, "active_jobs": 9}]
    kit.local.set_faults({"quotas": {**_SMALL, "active_jobs": 0}, "quota_changes": later})
    with pytest.raises(ClientError):
        kit.submit(1)
    kit.local.advance_clock(3600)
    kit.submit(1)


def test_list_lags_and_get_does_not(kit: Kit) -> None:
    """A job appears late in List, and late in its old status."""
    kit.local.set_faults({"quotas": _SMALL, "list_lag_seconds": 100})
    arn = kit.submit(1)
    name = kit.job(arn)["jobName"]

    def listed() -> list[str]:
        found = kit.bedrock.list_model_invocation_jobs(nameContains=name)
        return [job["status"] for job in found["invocationJobSummaries"]]

    kit.local.advance_clock(70)
    assert (kit.status(arn), listed()) == ("Validating", [])
    kit.local.advance_clock(50)
    assert (kit.status(arn), listed()) == ("Validating", ["Submitted"])


def test_retryable_record_errors_pass_another_time(kit: Kit) -> None:
    """Drawn per record and job: other records fail in the next job, none through InvokeModel."""
    kit.local.set_faults({"quotas": _SMALL, "records": [{"share": 0.2, "code": 500}]})
    failed = []
    for number in range(2):
        # By name, because what is drawn depends on it.
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


def test_permanent_record_errors_are_the_bodys(kit: Kit) -> None:
    """The same records fail in every job and through InvokeModel, whatever the key order."""
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
    """By record id."""
    rule = {"record_ids": ["REC00000003"], "code": 429}
    kit.local.set_faults({"quotas": _SMALL, "records": [rule]})
    arn = kit.submit(5)
    kit.settle(arn)
    assert [x["recordId"] for x in kit.lines(arn) if "error" in x] == ["REC00000003"]


@pytest.mark.parametrize("end", ["Expired", "Failed", "PartiallyCompleted", "Stopped"])
def test_jobs_end_as_the_script_says(kit: Kit, end: str) -> None:
    """Once, for the first job that fits: the next attempt completes."""
    rule = {"name": f"{kit.bucket}*", "count": 1, "end": end, "processed_share": 0.25}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [rule]})
    arn = kit.submit(40, jobName=f"{kit.bucket}-a")
    again = kit.submit(40, jobName=f"{kit.bucket}-b")
    job = kit.settle(arn)
    assert job["status"] == end
    processed = 10 if end in ("PartiallyCompleted", "Stopped") else 0
    assert job["processedRecordCount"] == processed
    assert len(kit.lines(arn)) == processed
    assert kit.job(again)["status"] == "Completed"


def test_jobs_are_picked_by_their_number(kit: Kit) -> None:
    """The n-th created; the first rule that fits is the one."""
    number = kit.local.requests().get("CreateModelInvocationJob", 0)
    made = len(_all_jobs(kit))
    rules = [{"nth": [made + 2], "end": "Failed", "message": "told so"}, {"nth": [made + 1, 0 + 1]}]
    kit.local.set_faults({"quotas": _SMALL, "jobs": rules})
    first, second = kit.submit(1), kit.submit(1)
    assert kit.settle(first)["status"] == "Completed"
    assert kit.job(second)["message"] == "told so"
    assert kit.local.requests()["CreateModelInvocationJob"] == number + 2


def _all_jobs(kit: Kit) -> list[Any]:
    pages = kit.bedrock.get_paginator("list_model_invocation_jobs").paginate()
    return [job for page in pages for job in page["invocationJobSummaries"]]


def test_unprocessed_records_may_be_there_as_expired(kit: Kit) -> None:
    """Whether real jobs leave them out or not is unknown; clients should take both."""
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


def test_a_job_that_sticks_expires_at_its_timeout(kit: Kit) -> None:
    """Not before."""
    kit.local.set_faults({"quotas": _SMALL, "jobs": [{"stick": "Scheduled"}]})
    arn = kit.submit(1)
    kit.local.advance_clock(86_400 - 60)
    assert kit.status(arn) == "Scheduled"
    kit.local.advance_clock(120)
    job = kit.job(arn)
    assert (job["status"], job["endTime"]) == ("Expired", job["jobExpirationTime"])


def test_a_completed_job_may_have_no_success(kit: Kit) -> None:
    """Completed does not mean succeeded."""
    rule = {"all_records": {"code": 400, "message": "anthropic_version: Field required"}}
    kit.local.set_faults({"quotas": _SMALL, "jobs": [rule]})
    arn = kit.submit(10)
    job = kit.settle(arn)
    assert (job["status"], job["errorRecordCount"]) == ("Completed", 10)
    assert all(line["error"]["errorCode"] == 400 for line in kit.lines(arn))


def test_output_can_lack_and_repeat_lines(kit: Kit) -> None:
    """What is missing was processed and is billed, and usage says it was not delivered."""
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


def test_output_can_be_cut_wrongly_counted_or_absent(kit: Kit) -> None:
    """A broken last line, a manifest that does not add up, a job without its file."""
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
    found = {line["recordId"]: line for line in kit.lines(arns["errors_in_model_output"])}
    assert found["bad"]["modelOutput"]["errorCode"] == 400


def test_paying_again_for_a_delivered_record_shows(kit: Kit) -> None:
    """The judge: a record billed by a second job after the first one delivered it."""
    kit.submit([record(77_001)])
    kit.local.advance_clock(7 * 86_400)
    assert "REC00077001" not in kit.local.usage()["billed_again"]
    again = kit.submit([record(77_001)])
    kit.settle(again)
    assert kit.local.usage()["billed_again"]["REC00077001"] == [again]


def test_access_can_be_denied(kit: Kit) -> None:
    """Roles, buckets, and models without batch inference in the Region."""
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
