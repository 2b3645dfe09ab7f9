"""Inference profiles: those there are for every model, and those that applications make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_emulator import LocalBedrock

from .kit import CLAUDE, Kit, ask, record, refusal

US = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{CLAUDE}"
MODEL = f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}"


def _make(bedrock: Any, name: str, source: str = MODEL, **more: Any) -> str:
    made = bedrock.create_inference_profile(
        inferenceProfileName=name, modelSource={"copyFrom": source}, **more
    )
    arn: str = made["inferenceProfileArn"]
    return arn


def _get(kit: Kit, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = kit.bedrock.get_inference_profile(inferenceProfileIdentifier=identifier)
    return found


@pytest.mark.parametrize("identifier", [f"us.{CLAUDE}", US])
def test_every_model_has_system_defined_profiles(kit: Kit, identifier: str) -> None:
    """By id and by ARN; they route to several Regions, all to the same model."""
    found = _get(kit, identifier)
    assert (found["type"], found["inferenceProfileArn"]) == ("SYSTEM_DEFINED", US)
    arns = [model["modelArn"] for model in found["models"]]
    assert len(arns) == 3
    assert {arn.rsplit("/", 1)[-1] for arn in arns} == {CLAUDE}


@pytest.mark.parametrize(("source", "regions"), [(MODEL, 1), (US, 3)])
def test_an_application_makes_one_of_a_model_or_of_a_profile(
    kit: Kit, source: str, regions: int
) -> None:
    """Its ARN hides the model; GetInferenceProfile names it, by ARN and by id."""
    arn = _make(kit.bedrock, "Team A", source)
    assert CLAUDE not in arn
    found = _get(kit, arn)
    assert found["type"] == "APPLICATION"
    assert found["inferenceProfileName"] == "Team A"
    assert len(found["models"]) == regions
    assert all(model["modelArn"].endswith(f"/{CLAUDE}") for model in found["models"])
    assert _get(kit, found["inferenceProfileId"])["inferenceProfileArn"] == arn


def test_it_answers_as_its_model_does(kit: Kit) -> None:
    """InvokeModel, Converse and batch jobs; what it costs is billed to the ARN."""
    arn = _make(kit.bedrock, "Team B", US)
    body = json.dumps(ask("hello"))
    answers = [
        json.loads(kit.runtime.invoke_model(modelId=model, body=body)["body"].read())
        for model in (arn, CLAUDE)
    ]
    assert answers[0]["content"] == answers[1]["content"]
    turns = [{"role": "user", "content": [{"text": "hi"}]}]
    assert kit.runtime.converse(modelId=arn, messages=turns)["stopReason"] == "end_turn"
    assert kit.local.usage()["invocations"][arn]["calls"] == 2
    job = kit.submit([record(n) for n in range(3)], modelId=arn)
    kit.bedrock.delete_inference_profile(inferenceProfileIdentifier=arn)
    assert kit.settle(job)["status"] == "Completed"
    assert all(line["modelOutput"]["type"] == "message" for line in kit.lines(job))
    assert kit.job(job)["modelId"] == arn


def test_what_is_not_there_is_refused(kit: Kit) -> None:
    """Deleted, of another Region, never made; a profile of the service's own stays."""
    arn = _make(kit.bedrock, "Team C")
    get, delete = kit.bedrock.get_inference_profile, kit.bedrock.delete_inference_profile
    delete(inferenceProfileIdentifier=arn)
    gone = "ResourceNotFoundException"
    assert refusal(get, inferenceProfileIdentifier=arn) == gone
    assert refusal(delete, inferenceProfileIdentifier=arn) == gone
    assert refusal(get, inferenceProfileIdentifier="us.no.such-model") == gone
    assert refusal(get, inferenceProfileIdentifier=CLAUDE) == gone
    refused = "ValidationException"
    assert refusal(delete, inferenceProfileIdentifier=US) == refused
    assert refusal(kit.runtime.invoke_model, modelId=arn, body=json.dumps(ask("hi"))) == refused
    there = _make(kit.bedrock, "Team C")
    assert there != arn
    there = there.replace("us-east-1", "eu-west-1")
    assert refusal(kit.runtime.invoke_model, modelId=there, body=json.dumps(ask("hi"))) == refused
    wrong = {"copyFrom": MODEL.replace(CLAUDE, "no.such-model")}
    create = kit.bedrock.create_inference_profile
    assert refusal(create, inferenceProfileName="x", modelSource=wrong) == refused


def test_a_token_makes_one(kit: Kit) -> None:
    """The same request with the same token is ignored; another one is a conflict."""
    arn = _make(kit.bedrock, "Team D", clientRequestToken="token-d")
    assert _make(kit.bedrock, "Team D", clientRequestToken="token-d") == arn
    create = kit.bedrock.create_inference_profile
    other = {"inferenceProfileName": "Team E", "clientRequestToken": "token-d"}
    assert refusal(create, modelSource={"copyFrom": MODEL}, **other) == "ConflictException"


def test_listing_and_tags(kit: Kit) -> None:
    """In pages, by type; the tags it was made with are there."""
    tags = [{"key": "team", "value": "f"}]
    arn = _make(kit.bedrock, "Team F", tags=tags)
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
    assert f"us.{CLAUDE}" in system
    assert listed() == own + system


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """As all that the emulator keeps does."""
    with LocalBedrock(speed=0, data=tmp_path) as local:
        arn = _make(local.client("bedrock"), "Team G")
    with LocalBedrock(speed=0, data=tmp_path) as local:
        runtime = local.client("bedrock-runtime")
        runtime.invoke_model(modelId=arn, body=json.dumps(ask("still here")))
        assert _make(local.client("bedrock"), "Team G") != arn


def test_a_custom_model_is_what_its_arn_says(kit: Kit) -> None:
    """There is one for every ARN that names a served base model, and no other."""
    base = "amazon.nova-micro-v1:0:128k"
    arn = f"arn:aws:bedrock:us-east-1:123456789012:custom-model/{base}/abcdefghijkl"
    get = kit.bedrock.get_custom_model
    found = get(modelIdentifier=arn)
    assert found["baseModelArn"] == f"arn:aws:bedrock:us-east-1::foundation-model/{base}"
    for other in (arn.replace(base, "imported"), arn.replace(base, "no.such"), "my-model"):
        assert refusal(get, modelIdentifier=other) == "ResourceNotFoundException"
