"""Provisioned throughput: its life, its use, its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, Kit, ask, refusal


def _buy(kit: Kit, name: str, **changes: Any) -> str:
    bought = kit.bedrock.create_provisioned_model_throughput(
        **{"modelUnits": 1, "provisionedModelName": name, "modelId": CLAUDE, **changes}
    )
    assert bought["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn: str = bought["provisionedModelArn"]
    return arn


def _invoke(kit: Kit, arn: str, **changes: Any) -> Any:
    return kit.runtime.invoke_model(modelId=arn, body=json.dumps(ask("hello", **changes)))


def test_it_is_creating_then_in_service(kit: Kit) -> None:
    """Not ready before, with a code that SDKs repeat; the foundation model shows in Get."""
    arn = _buy(kit, kit.bucket)
    with pytest.raises(ClientError) as error:
        _invoke(kit, arn)
    assert error.value.response["Error"]["Code"] == "ModelNotReadyException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    get = kit.bedrock.get_provisioned_model_throughput
    assert get(provisionedModelId=arn)["status"] == "Creating"
    kit.local.advance_clock(601)
    found = get(provisionedModelId=kit.bucket)
    assert found["status"] == "InService"
    assert found["foundationModelArn"].endswith(f"::foundation-model/{CLAUDE}")
    assert _invoke(kit, arn)["ResponseMetadata"]["HTTPStatusCode"] == 200
    turns = [{"role": "user", "content": [{"text": "hi"}]}]
    assert kit.runtime.converse(modelId=arn, messages=turns)["stopReason"] == "end_turn"
    assert kit.local.usage()["invocations"][arn]["calls"] == 2


def test_tokens_per_minute_are_enforced(kit: Kit) -> None:
    """Units times tokens: throttled beyond, free again a minute later."""
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


def test_a_request_larger_than_the_budget_is_not_refused_for_ever(kit: Kit) -> None:
    """It passes when nothing else has used the minute."""
    kit.local.set_faults({"provisioned": {"tokens_per_minute_per_unit": 10}})
    arn = _buy(kit, kit.bucket)
    kit.local.advance_clock(601)
    _invoke(kit, arn, max_tokens=500)


def test_deletion(kit: Kit) -> None:
    """Not before it is in service nor before the term ends; then it is gone."""
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
    bound = _buy(kit, f"{kit.bucket}-bound", commitmentDuration="OneMonth")
    kit.local.advance_clock(601)
    assert refusal(delete, provisionedModelId=bound) == "ConflictException"
    kit.local.advance_clock(30 * 86_400)
    delete(provisionedModelId=bound)


def test_names_and_tokens(kit: Kit) -> None:
    """A name is used once; a token gives the same again, or refuses other parameters."""
    arn = _buy(kit, kit.bucket, clientRequestToken="t1")
    assert _buy(kit, kit.bucket, clientRequestToken="t1") == arn
    create = kit.bedrock.create_provisioned_model_throughput
    same = {"modelUnits": 1, "provisionedModelName": kit.bucket, "modelId": CLAUDE}
    assert refusal(create, **same, clientRequestToken="t2") == "ValidationException"
    other = {**same, "modelUnits": 2, "clientRequestToken": "t1"}
    assert refusal(create, **other) == "ValidationException"
    much = {**same, "provisionedModelName": "much", "modelUnits": 101}
    assert refusal(create, **much) == "ServiceQuotaExceededException"
    profile = {**same, "provisionedModelName": "profile", "modelId": f"us.{CLAUDE}"}
    assert refusal(create, **profile) == "ValidationException"


def test_update_renames_or_moves_to_a_model_of_the_same_base(kit: Kit) -> None:
    """Updating while it moves, and still served by the old model."""
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
    found = get(provisionedModelId=arn)
    assert (found["status"], found["desiredModelArn"]) == ("Updating", custom)
    assert found["modelArn"] != custom
    kit.local.advance_clock(601)
    found = get(provisionedModelId=arn)
    assert (found["status"], found["modelArn"]) == ("InService", custom)
    assert refusal(update, provisionedModelId=arn, desiredModelId=CLAUDE) == "ValidationException"


def test_listing(kit: Kit) -> None:
    """In pages, by name and status."""
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
    """Status Failed with its message, and not ready for ever."""
    kit.local.set_faults({"provisioned": {"fail": f"{kit.bucket}*", "failure_message": "no units"}})
    arn = _buy(kit, kit.bucket)
    kit.local.advance_clock(601)
    found = kit.bedrock.get_provisioned_model_throughput(provisionedModelId=arn)
    assert (found["status"], found["failureMessage"]) == ("Failed", "no units")
    assert refusal(lambda: _invoke(kit, arn)) == "ModelNotReadyException"
