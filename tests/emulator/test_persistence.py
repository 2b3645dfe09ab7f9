"""State that survives a restart, another S3 endpoint, and events in a queue."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from bedrock_emulator import LocalBedrock
from bedrock_emulator.s3.moto_instances import forget_instances

from .kit import CLAUDE, CLAUDE_MODEL, Kit, ask, record
from .raw_http import AUTHORIZATION, RawClient

S3 = AUTHORIZATION.replace("/bedrock/", "/s3/")
_SMALL = {"quotas": {"min_records": 1}}


def test_state_survives_a_restart(tmp_path: Path) -> None:
    """Jobs, tags, provisioned throughput, bills, objects with metadata, and the time survive."""
    data = tmp_path / "data"
    with LocalBedrock(_SMALL, speed=0, data=data) as local:
        kit = Kit.open(local)
        done = kit.submit(20, tags=[{"key": "a", "value": "b"}])
        kit.settle(done)
        output = sorted(map(str, kit.lines(done)))
        units = kit.bedrock.create_provisioned_model_throughput(
            modelUnits=1, provisionedModelName="units", modelId=CLAUDE_MODEL
        )["provisionedModelArn"]
        waiting = kit.submit(20, jobName="waiting", clientRequestToken="token-w")
        running = kit.submit(20)
        kit.until(running, lambda status: status == "InProgress", step=20)
        request = kit.request(kit.job(waiting)["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        stopping = kit.submit(20)
        kit.bedrock.stop_model_invocation_job(jobIdentifier=stopping)
        kit.s3.put_object(Bucket=kit.bucket, Key="a b/ü.txt", Body=b"x", Metadata={"who": "me"})
        kit.s3.put_object(Bucket=kit.bucket, Key="gone", Body=b"x")
        kit.s3.delete_object(Bucket=kit.bucket, Key="gone")
        listed = _keys(kit)
        stopped_at = local.now()
        bucket, usage = kit.bucket, local.usage()["totals"]
    with LocalBedrock(_SMALL, speed=0, data=data) as local:
        assert local.now() >= stopped_at - 1
        clients = (local.client(name) for name in ("s3", "bedrock", "bedrock-runtime"))
        kit = Kit(local, bucket, *clients)
        assert _keys(kit) == listed
        head = kit.s3.head_object(Bucket=bucket, Key="a b/ü.txt")
        assert head["Metadata"] == {"who": "me"}
        assert sorted(map(str, kit.lines(done))) == output
        assert local.usage()["totals"] == usage
        assert kit.job(done)["status"] == "Completed"
        assert kit.bedrock.list_tags_for_resource(resourceARN=done)["tags"]
        assert kit.status(running) == "InProgress"
        same = {**request, "jobName": "waiting", "clientRequestToken": "token-w"}
        assert kit.bedrock.create_model_invocation_job(**same)["jobArn"] == waiting
        for arn in (waiting, running):
            assert kit.settle(arn)["status"] == "Completed"
            assert len(kit.lines(arn)) == 20
        assert kit.job(stopping)["status"] == "Stopped"
        provisioned = kit.bedrock.get_provisioned_model_throughput(provisionedModelId=units)
        assert provisioned["status"] == "InService"
        counts = Counter(n for ids in local.usage()["records"].values() for n in ids.values())
        assert counts == {1: 60}


def _keys(kit: Kit) -> list[tuple[str, str]]:
    objects = kit.s3.list_objects_v2(Bucket=kit.bucket)["Contents"]
    return [(item["Key"], item["ETag"]) for item in objects]


def test_deleted_buckets_stay_deleted(tmp_path: Path) -> None:
    """A bucket deleted before a restart is not there after it."""
    with LocalBedrock(speed=0, data=tmp_path) as local:
        local.client("s3").create_bucket(Bucket="gone")
        local.client("s3").create_bucket(Bucket="kept")
        local.client("s3").delete_bucket(Bucket="gone")
    with LocalBedrock(speed=0, data=tmp_path) as local:
        buckets = local.client("s3").list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["kept"]


def test_jobs_use_another_s3_endpoint() -> None:
    """With `--s3-endpoint`, input and output are at that endpoint, and no S3 is served here."""
    with LocalBedrock(speed=0) as other:
        endpoint = other.endpoint_url
        options = ("--s3-endpoint", endpoint)
        s3 = other.client("s3")
        s3.create_bucket(Bucket="theirs")
        lines = "".join(f"{json.dumps(record(n))}\n" for n in range(30))
        s3.put_object(Bucket="theirs", Key="in/a.jsonl", Body=lines.encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "local")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
            local = LocalBedrock(_SMALL, 0, 7, None, 0, *options)
            local.start()
        try:
            kit = Kit(local, "theirs", s3, local.client("bedrock"), None)
            request = kit.request("s3://theirs/in/")
            arn = kit.bedrock.create_model_invocation_job(**request)["jobArn"]
            assert kit.settle(arn)["status"] == "Completed"
            assert kit.keys(arn) == ["a.jsonl.out", "manifest.json.out"]
            assert len(kit.lines(arn)) == 30
            with pytest.raises(ClientError):
                local.client("s3").list_buckets()
            missing = kit.request("s3://theirs/none.jsonl")
            arn = kit.bedrock.create_model_invocation_job(**missing)["jobArn"]
            assert kit.settle(arn)["status"] == "Failed"
            with pytest.raises(ClientError, match="Could not validate"):
                kit.bedrock.create_model_invocation_job(**kit.request("s3://nobodys/in/"))
        finally:
            local.stop()


def test_status_changes_are_events_in_a_queue() -> None:
    """One event for each status, in order, in the format of EventBridge."""
    with LocalBedrock(_SMALL, 0, 7, None, 0, "--event-queue", "changes") as local:
        kit = Kit.open(local)
        arn = kit.submit(3, jobName="watched")
        kit.settle(arn)
        sqs = local.client("sqs")
        url = sqs.get_queue_url(QueueName="changes")["QueueUrl"]
        events: list[dict[str, Any]] = []
        while True:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                break
            for message in messages:
                events.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    statuses = [event["detail"]["status"] for event in events]
    assert statuses == ["Submitted", "Validating", "Scheduled", "InProgress", "Completed"]
    last = events[-1]
    assert last["source"] == "aws.bedrock"
    assert last["detail-type"] == "Batch Inference Job State Change"
    assert last["resources"] == [arn] == [last["detail"]["batchJobArn"]]
    assert last["detail"]["batchJobName"] == "watched"
    assert last["detail"]["batchModelId"] == CLAUDE
    assert last["detail"]["creationTime"].endswith("M")
    assert len({event["id"] for event in events}) == 5


def test_a_killed_emulator_resumes_its_jobs(tmp_path: Path) -> None:
    """State is written at each change, not at the end."""
    local = LocalBedrock(_SMALL, speed=0, data=tmp_path)
    local.start()
    kit = Kit.open(local)
    arn = kit.submit(5)
    kit.until(arn, lambda status: status == "InProgress", step=30)
    assert local.pid is not None
    os.kill(local.pid, signal.SIGKILL)
    local.stop()
    with LocalBedrock(_SMALL, speed=0, data=tmp_path) as restarted:
        clients = (restarted.client(name) for name in ("s3", "bedrock"))
        kit = Kit(restarted, kit.bucket, *clients, None)
        assert kit.status(arn) == "InProgress"
        assert kit.settle(arn)["status"] == "Completed"
        assert len(kit.lines(arn)) == 5
        assert restarted.usage()["totals"]["records_billed"] == 5


def test_rules_of_eventbridge_fire_into_a_queue(kit: Kit) -> None:
    """A rule that a client puts gets the changes that its pattern asks for, with emulated times."""
    sqs, events = kit.local.client("sqs"), kit.local.client("events")
    queue = sqs.create_queue(QueueName="completed")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    kit.local.advance_clock(7 * 86_400)
    pattern = {"source": ["aws.bedrock"], "detail": {"status": ["Completed"]}}
    events.put_rule(Name="completed", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="completed", Targets=[target])
    arn = kit.submit(3)
    job = kit.settle(arn)
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    received = [json.loads(message["Body"]) for message in messages]
    # Jobs of other tests may have ended as well.
    (event,) = [e for e in received if e["detail"]["batchJobArn"] == arn]
    assert event["detail-type"] == "Batch Inference Job State Change"
    assert {e["detail"]["status"] for e in received} == {"Completed"}
    assert event["time"] == job["endTime"].strftime("%Y-%m-%dT%H:%M:%SZ")
    events.remove_targets(Rule="completed", Ids=["queue"])


def test_buckets_that_the_host_names_survive_a_restart(tmp_path: Path) -> None:
    """As clients of Go, JavaScript and Java name them; so do objects of other requests."""
    with LocalBedrock(speed=0, data=tmp_path) as local:
        port = urlsplit(local.endpoint_url).port
        raw = RawClient(local.endpoint_url)
        host = {"Host": f"mine.s3.localhost:{port}"}
        raw.send("PUT", "/", b"", host, authorization=S3)
        for key in ("/one", "/two/three", "/gone"):
            raw.send("PUT", f"{key}?x-id=PutObject", b"x", host, authorization=S3)
        raw.send("DELETE", "/gone", b"", host, authorization=S3)
        s3 = local.client("s3")
        s3.copy_object(Bucket="mine", Key="copy", CopySource="mine/one")
        upload = s3.create_multipart_upload(Bucket="mine", Key="parts")["UploadId"]
        part = {"Bucket": "mine", "Key": "parts", "UploadId": upload}
        tag = s3.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
        parts = {"Parts": [{"ETag": tag, "PartNumber": 1}]}
        s3.complete_multipart_upload(**part, MultipartUpload=parts)
        s3.put_object(Bucket="mine", Key="many", Body=b"x")
        s3.delete_objects(Bucket="mine", Delete={"Objects": [{"Key": "many"}]})
    with LocalBedrock(speed=0, data=tmp_path) as local:
        listed = local.client("s3").list_objects_v2(Bucket="mine")["Contents"]
        assert [item["Key"] for item in listed] == ["copy", "one", "parts", "two/three"]
        local.reset()
        assert local.client("s3").list_buckets()["Buckets"] == []
    with LocalBedrock(speed=0, data=tmp_path) as local:
        assert local.client("s3").list_buckets()["Buckets"] == []


def test_an_id_that_cannot_be_stored_harms_no_other_job(tmp_path: Path) -> None:
    """Half a surrogate pair, as cut text leaves it: the record is answered, billed and kept."""
    odd = {"recordId": "half \ud83d", "modelInput": ask("\ud83d too")}
    with LocalBedrock(_SMALL, speed=0, data=tmp_path) as local:
        kit = Kit.open(local)
        first = kit.submit([odd, record(1)])
        assert kit.settle(first)["successRecordCount"] == 2
        second = kit.submit(3)
        assert kit.settle(second)["status"] == "Completed"
        usage = local.usage()
        assert usage["records"][first] == {"half \ud83d": 1, "REC00000001": 1}
    with LocalBedrock(_SMALL, speed=0, data=tmp_path) as local:
        assert local.usage() == usage
        assert local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]


def test_objects_that_were_replaced_are_forgotten() -> None:
    """moto would keep each of them, for a dashboard that the emulator does not have."""
    from moto.s3.models import FakeKey, s3_backends

    forget_instances()
    backend: Any = s3_backends["123456789012"]["aws"]
    backend.create_bucket("forgotten", "us-east-1")
    for number in range(50):
        backend.put_object("forgotten", "key", str(number).encode())
    gc.collect()
    kept = [o for o in gc.get_objects() if isinstance(o, FakeKey) and o.bucket_name == "forgotten"]
    assert len(kept) == 1
    backend.delete_object("forgotten", "key")
    backend.delete_bucket("forgotten")
