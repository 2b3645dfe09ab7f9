"""Inference profiles: system-defined ones, and those that applications create."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_emulator import LocalBedrock
from tests.models import NOVA

from .kit import CLAUDE_MODEL, Kit, ask, record, refusal

US = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{CLAUDE_MODEL}"
MODEL = f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}"


def _create(bedrock: Any, name: str, source: str = MODEL, **more: Any) -> str:
    response = bedrock.create_inference_profile(
        inferenceProfileName=name, modelSource={"copyFrom": source}, **more
    )
    arn: str = response["inferenceProfileArn"]
    return arn


def _get(kit: Kit, identifier: str) -> dict[str, Any]:
    profile: dict[str, Any] = kit.bedrock.get_inference_profile(
        inferenceProfileIdentifier=identifier
    )
    return profile


@pytest.mark.parametrize("identifier", [f"us.{CLAUDE_MODEL}", US])
def test_every_model_has_system_defined_profiles(kit: Kit, identifier: str) -> None:
    """By id and by ARN; they route to several Regions, all to the same model."""
    profile = _get(kit, identifier)
    assert (profile["type"], profile["inferenceProfileArn"]) == ("SYSTEM_DEFINED", US)
    arns = [model["modelArn"] for model in profile["models"]]
    assert len(arns) == 3
    assert {arn.rsplit("/", 1)[-1] for arn in arns} == {CLAUDE_MODEL}


@pytest.mark.parametrize(("source", "regions"), [(MODEL, 1), (US, 3)])
def test_an_application_creates_one_of_a_model_or_of_a_profile(
    kit: Kit, source: str, regions: int
) -> None:
    """Its ARN hides the model; GetInferenceProfile names it, by ARN and by id."""
    arn = _create(kit.bedrock, "Team A", source)
    assert CLAUDE_MODEL not in arn
    profile = _get(kit, arn)
    assert profile["type"] == "APPLICATION"
    assert profile["inferenceProfileName"] == "Team A"
    assert len(profile["models"]) == regions
    assert all(model["modelArn"].endswith(f"/{CLAUDE_MODEL}") for model in profile["models"])
    assert _get(kit, profile["inferenceProfileId"])["inferenceProfileArn"] == arn


@pytest.mark.parametrize(
    ("model_id", "region", "is_served"),
    [
        (f"us.{CLAUDE_MODEL}", "us-west-2", True),
        (f"us.{CLAUDE_MODEL}", "eu-west-1", False),
        (f"us.{CLAUDE_MODEL}", "us-gov-west-1", False),
        (f"us-gov.{CLAUDE_MODEL}", "us-gov-west-1", True),
        (f"eu.{CLAUDE_MODEL}", "us-east-1", False),
        (f"eu.{CLAUDE_MODEL}", "eu-central-1", True),
        (f"jp.{CLAUDE_MODEL}", "ap-northeast-1", True),
        (f"jp.{CLAUDE_MODEL}", "ap-southeast-2", False),
        (f"global.{CLAUDE_MODEL}", "sa-east-1", True),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", "us-east-1", True),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", "eu-west-1", False),
        (US, "us-west-2", False),
    ],
)
def test_a_model_is_called_where_it_is(
    kit: Kit, model_id: str, region: str, is_served: bool
) -> None:
    """A profile in the Regions of its geography, an ARN in its own Region."""
    runtime = kit.local.client("bedrock-runtime", region_name=region)
    talk = [{"role": "user", "content": [{"text": "hi"}]}]
    if is_served:
        assert runtime.converse(modelId=model_id, messages=talk)["stopReason"] == "end_turn"
    else:
        with pytest.raises(ClientError, match="The provided model identifier is invalid"):
            runtime.converse(modelId=model_id, messages=talk)


def test_it_answers_as_its_model_does(kit: Kit) -> None:
    """In InvokeModel, Converse and batch jobs; calls are billed to its ARN."""
    arn = _create(kit.bedrock, "Team B", US)
    body = json.dumps(ask("hello"))
    answers = [
        json.loads(kit.runtime.invoke_model(modelId=model, body=body)["body"].read())
        for model in (arn, US)
    ]
    assert answers[0]["content"] == answers[1]["content"]
    turns = [{"role": "user", "content": [{"text": "hi"}]}]
    assert kit.runtime.converse(modelId=arn, messages=turns)["stopReason"] == "end_turn"
    assert kit.local.usage()["invocations"][arn]["calls"] == 2
    job = kit.submit([record(n) for n in range(3)], modelId=arn)
    delete = kit.bedrock.delete_inference_profile
    assert refusal(delete, inferenceProfileIdentifier=arn) == "ConflictException"
    assert kit.settle(job)["status"] == "Completed"
    delete(inferenceProfileIdentifier=arn)
    assert all(line["modelOutput"]["type"] == "message" for line in kit.lines(job))
    assert kit.job(job)["modelId"] == arn


def test_missing_profiles_are_refused(kit: Kit) -> None:
    """Deleted, in another Region or never created. System-defined ones cannot be deleted."""
    arn = _create(kit.bedrock, "Team C")
    get, delete = kit.bedrock.get_inference_profile, kit.bedrock.delete_inference_profile
    delete(inferenceProfileIdentifier=arn)
    gone = "ResourceNotFoundException"
    assert refusal(get, inferenceProfileIdentifier=arn) == gone
    assert refusal(delete, inferenceProfileIdentifier=arn) == gone
    assert refusal(get, inferenceProfileIdentifier="us.no.such-model") == gone
    assert refusal(get, inferenceProfileIdentifier=CLAUDE_MODEL) == gone
    refused = "ValidationException"
    assert refusal(delete, inferenceProfileIdentifier=US) == refused
    assert refusal(kit.runtime.invoke_model, modelId=arn, body=json.dumps(ask("hi"))) == refused
    second = _create(kit.bedrock, "Team C")
    assert second != arn
    elsewhere = second.replace("us-east-1", "eu-west-1")
    body = json.dumps(ask("hi"))
    assert refusal(kit.runtime.invoke_model, modelId=elsewhere, body=body) == refused
    wrong = {"copyFrom": MODEL.replace(CLAUDE_MODEL, "no.such-model")}
    create = kit.bedrock.create_inference_profile
    assert refusal(create, inferenceProfileName="x", modelSource=wrong) == refused


def test_a_token_creates_one_profile(kit: Kit) -> None:
    """Any request with the token returns this profile, unless the script refuses another one."""
    arn = _create(kit.bedrock, "Team D", clientRequestToken="token-d")
    assert _create(kit.bedrock, "Team D", clientRequestToken="token-d") == arn
    create = kit.bedrock.create_inference_profile
    other = {"inferenceProfileName": "Team E", "clientRequestToken": "token-d"}
    assert create(modelSource={"copyFrom": MODEL}, **other)["inferenceProfileArn"] == arn
    kit.local.set_faults({"behaviour": {"used_token": "refuse"}})
    assert refusal(create, modelSource={"copyFrom": MODEL}, **other) == "ConflictException"


def test_listing_and_tags(kit: Kit) -> None:
    """Lists come in pages, by type; the tags of the creation are there."""
    tags = [{"key": "team", "value": "f"}]
    arn = _create(kit.bedrock, "Team F", tags=tags)
    assert kit.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == tags
    paginator = kit.bedrock.get_paginator("list_inference_profiles")

    def listed(**filters: Any) -> list[str]:
        pages = paginator.paginate(**filters, PaginationConfig={"PageSize": 7})
        return [
            p["inferenceProfileId"] for page in pages for p in page["inferenceProfileSummaries"]
        ]

    own, system = listed(typeEquals="APPLICATION"), listed(typeEquals="SYSTEM_DEFINED")
    assert arn.rsplit("/", 1)[-1] in own
    assert system == sorted(system)
    assert f"us.{CLAUDE_MODEL}" in system
    assert listed() == own + system


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """A profile in the data folder still answers, and its number is not used again."""
    with LocalBedrock(speed=0, data=tmp_path) as local:
        arn = _create(local.client("bedrock"), "Team G")
    with LocalBedrock(speed=0, data=tmp_path) as local:
        runtime = local.client("bedrock-runtime")
        runtime.invoke_model(modelId=arn, body=json.dumps(ask("still here")))
        assert _create(local.client("bedrock"), "Team G") != arn


def test_a_custom_model_is_what_its_arn_says(kit: Kit) -> None:
    """Every ARN that names a served base model is a custom model; nothing else is."""
    base = "amazon.nova-micro-v1:0:128k"
    arn = f"arn:aws:bedrock:us-east-1:123456789012:custom-model/{base}/abcdefghijkl"
    get = kit.bedrock.get_custom_model
    model = get(modelIdentifier=arn)
    assert model["baseModelArn"] == f"arn:aws:bedrock:us-east-1::foundation-model/{base}"
    for other in (arn.replace(base, "imported"), arn.replace(base, "no.such"), "my-model"):
        assert refusal(get, modelIdentifier=other) == "ResourceNotFoundException"


def test_the_custom_models_of_the_script_are_listed(kit: Kit) -> None:
    """By pages, the newest first; each is found by its ARN and by its name."""
    bases = {f"tuned-{n}": "amazon.nova-micro-v1:0:128k" for n in range(3)}
    kit.local.set_faults({"custom_models": {**bases, "other": "amazon.nova-lite-v1:0"}})
    pages = kit.bedrock.get_paginator("list_custom_models")

    def listed(**filters: Any) -> list[Any]:
        found = pages.paginate(**filters, PaginationConfig={"PageSize": 2})
        return [model for page in found for model in page["modelSummaries"]]

    assert [model["modelName"] for model in listed()] == ["other", "tuned-2", "tuned-1", "tuned-0"]
    base = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0:128k"
    assert [m["modelName"] for m in listed(baseModelArnEquals=base)] == [*reversed(bases)]
    assert [m["modelName"] for m in listed(nameContains="ther")] == ["other"]
    assert listed(isOwned=False) == listed(modelStatus="Failed") == []
    newest, *_, oldest = listed()
    since = listed(creationTimeAfter=oldest["creationTime"])
    assert [m["modelName"] for m in since] == ["other", "tuned-2", "tuned-1"]
    for identifier in ("other", newest["modelArn"]):
        model = kit.bedrock.get_custom_model(modelIdentifier=identifier)
        assert (model["modelName"], model["modelArn"]) == ("other", newest["modelArn"])
