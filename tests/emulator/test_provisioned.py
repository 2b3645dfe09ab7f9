"""Provisioned throughput: its life cycle, its use, its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE_MODEL, Kit, ask, refusal


def _buy(kit: Kit, name: str, **changes: Any) -> str:
    bought = kit.bedrock.create_provisioned_model_throughput(
        **{"modelUnits": 1, "provisionedModelName": name, "modelId": CLAUDE_MODEL, **changes}
    )
    assert bought["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn: str = bought["provisionedModelArn"]
    return arn


def _invoke(kit: Kit, arn: str, **changes: Any) -> Any:
    return kit.runtime.invoke_model(modelId=arn, body=json.dumps(ask("hello", **changes)))


def test_it_is_creating_then_in_service(kit: Kit) -> None:
    """Before that it is not ready, with a code that SDKs retry. Get names the foundation model."""
    arn = _buy(kit, kit.bucket)
    with pytest.raises(ClientError) as error:
        _invoke(kit, arn)
    assert error.value.response["Error"]["Code"] == "ModelNotReadyException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    get = kit.bedrock.get_provisioned_model_throughput
    assert get(provisionedModelId=arn)["status"] == "Creating"
    kit.local.advance_clock(601)
    item = get(provisionedModelId=kit.bucket)
    assert item["status"] == "InService"
    assert item["foundationModelArn"].endswith(f"::foundation-model/{CLAUDE_MODEL}")
    assert _invoke(kit, arn)["ResponseMetadata"]["HTTPStatusCode"] == 200
    turns = [{"role": "user", "content": [{"text": "hi"}]}]
    assert kit.runtime.converse(modelId=arn, messages=turns)["stopReason"] == "end_turn"
    assert kit.local.usage()["invocations"][arn]["calls"] == 2


def test_tokens_per_minute_are_enforced(kit: Kit) -> None:
    """The limit is units times tokens per unit; a minute later it is free again."""
    kit.local.set_faults({"provisioned": {"tokens_per_minute_per_unit": 100}})
    arn = _buy(kit, kit.bucket, modelUnits=2)
    kit.local.advance_clock(601)
    outcomes = []
    for _ in range(12):
        try:
            _invoke(kit, arn, max_tokens=60)
            outcomes.append("ok")
        except ClientError as exc:
            outcomes.append(exc.response["Error"]["Code"])
    assert set(outcomes) == {"ok", "ThrottlingException"}
    assert outcomes[:2] == ["ok", "ok"]
    assert outcomes.count("ok") <= 8
    kit.local.advance_clock(61)
    _invoke(kit, arn, max_tokens=60)


def test_a_request_larger_than_the_limit_passes_alone(kit: Kit) -> None:
    """It passes if no other request has used tokens in the last minute."""
    kit.local.set_faults({"provisioned": {"tokens_per_minute_per_unit": 10}})
    arn = _buy(kit, kit.bucket)
    kit.local.advance_clock(601)
    _invoke(kit, arn, max_tokens=500)


def test_deletion(kit: Kit) -> None:
    """Refused before it is in service and before its commitment ends; then it is gone."""
    arn = _buy(kit, kit.bucket)
    delete = kit.bedrock.delete_provisioned_model_throughput
    assert refusal(delete, provisionedModelId=arn) == "ConflictException"
    kit.local.advance_clock(601)
    delete(provisionedModelId=arn)
    get = kit.bedrock.get_provisioned_model_throughput
    assert refusal(get, provisionedModelId=arn) == "ResourceNotFoundException"
    with pytest.raises(ClientError) as error:
        _invoke(kit, arn)
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"
    committed = _buy(kit, f"{kit.bucket}-committed", commitmentDuration="OneMonth")
    kit.local.advance_clock(601)
    assert refusal(delete, provisionedModelId=committed) == "ConflictException"
    kit.local.advance_clock(30 * 86_400)
    delete(provisionedModelId=committed)


def test_names_and_tokens(kit: Kit) -> None:
    """A name is used once. A token returns the same item, or refuses other parameters."""
    arn = _buy(kit, kit.bucket, clientRequestToken="t1")
    assert _buy(kit, kit.bucket, clientRequestToken="t1") == arn
    create = kit.bedrock.create_provisioned_model_throughput
    same = {"modelUnits": 1, "provisionedModelName": kit.bucket, "modelId": CLAUDE_MODEL}
    assert refusal(create, **same, clientRequestToken="t2") == "ValidationException"
    other = {**same, "modelUnits": 2, "clientRequestToken": "t1"}
    assert create(**other)["provisionedModelArn"] == arn
    kit.local.set_faults({"behaviour": {"used_token": "refuse"}})
    assert refusal(create, **other) == "ValidationException"
    too_many = {**same, "provisionedModelName": "much", "modelUnits": 101}
    assert refusal(create, **too_many) == "ServiceQuotaExceededException"
    profile = {**same, "provisionedModelName": "profile", "modelId": f"us.{CLAUDE_MODEL}"}
    assert refusal(create, **profile) == "ValidationException"


def test_update_renames_or_moves_to_a_model_of_the_same_base(kit: Kit) -> None:
    """Its status is Updating while it moves, and the old model still serves."""
    arn = _buy(kit, kit.bucket, modelId="amazon.titan-text-express-v1")
    kit.local.advance_clock(601)
    update = kit.bedrock.update_provisioned_model_throughput
    get = kit.bedrock.get_provisioned_model_throughput
    update(provisionedModelId=arn, desiredProvisionedModelName=f"{kit.bucket}-new")
    assert get(provisionedModelId=f"{kit.bucket}-new")["provisionedModelArn"] == arn
    custom = (
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/"
        "amazon.titan-text-express-v1:0:8k/abcdefghijkl"
    )
    update(provisionedModelId=arn, desiredModelId=custom)
    item = get(provisionedModelId=arn)
    assert (item["status"], item["desiredModelArn"]) == ("Updating", custom)
    assert item["modelArn"] != custom
    kit.local.advance_clock(601)
    item = get(provisionedModelId=arn)
    assert (item["status"], item["modelArn"]) == ("InService", custom)
    refused = refusal(update, provisionedModelId=arn, desiredModelId=CLAUDE_MODEL)
    assert refused == "ValidationException"


def test_listing(kit: Kit) -> None:
    """Lists come in pages, by name and status."""
    for number in range(3):
        _buy(kit, f"{kit.bucket}-{number}")
        kit.local.advance_clock(1)
    pages = kit.bedrock.get_paginator("list_provisioned_model_throughputs").paginate(
        nameContains=kit.bucket, PaginationConfig={"PageSize": 2}
    )
    names = [
        item["provisionedModelName"] for page in pages for item in page["provisionedModelSummaries"]
    ]
    assert names == [f"{kit.bucket}-{number}" for number in (2, 1, 0)]
    ready = kit.bedrock.list_provisioned_model_throughputs(
        nameContains=kit.bucket, statusEquals="InService"
    )
    assert ready["provisionedModelSummaries"] == []


def test_a_script_can_make_it_fail(kit: Kit) -> None:
    """Its status is Failed, with the script's message, and it never becomes ready."""
    kit.local.set_faults({"provisioned": {"fail": f"{kit.bucket}*", "failure_message": "no units"}})
    arn = _buy(kit, kit.bucket)
    kit.local.advance_clock(601)
    item = kit.bedrock.get_provisioned_model_throughput(provisionedModelId=arn)
    assert (item["status"], item["failureMessage"]) == ("Failed", "no units")
    assert refusal(lambda: _invoke(kit, arn)) == "ModelNotReadyException"
