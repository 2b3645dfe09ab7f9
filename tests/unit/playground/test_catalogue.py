"""The models of a Region as the page shows them, from what the service lists."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from bedrock_spark.aws.model_lists import Listing, ModelLists, list_models
from bedrock_spark.families import FAMILIES
from bedrock_spark.playground.catalogue import Catalogue, catalogue_of
from bedrock_spark.playground.offered_model import TABS, named_model, tabs_of
from tests.modules import ROOT
from tests.unit.fakes import ACCOUNT, PROVISIONED

REGION = "us-east-1"
NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


def foundation(model_id: str, **members: Any) -> dict[str, Any]:
    return {
        "modelId": model_id,
        "modelArn": arn_of(model_id),
        "modelName": model_id.split(".")[1],
        "providerName": model_id.split(".")[0].title(),
        "outputModalities": ["TEXT"],
        "inferenceTypesSupported": ["ON_DEMAND"],
        **members,
    }


def arn_of(model_id: str) -> str:
    return f"arn:aws:bedrock:{REGION}::foundation-model/{model_id}"


def profile(identifier: str, model_id: str, kind: str, *regions: str) -> dict[str, Any]:
    return {
        "inferenceProfileName": f"profile {identifier}",
        "inferenceProfileId": identifier,
        "inferenceProfileArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:x/{identifier}",
        "models": [{"modelArn": arn_of(model_id).replace(REGION, each)} for each in regions],
        "status": "ACTIVE",
        "type": kind,
    }


def provisioned(**members: Any) -> dict[str, Any]:
    return {
        "provisionedModelName": "tickets",
        "provisionedModelArn": PROVISIONED,
        "modelArn": arn_of("amazon.nova-lite-v1:0"),
        "desiredModelArn": arn_of("amazon.nova-lite-v1:0"),
        "foundationModelArn": arn_of("amazon.nova-lite-v1:0:300k"),
        "modelUnits": 2,
        "desiredModelUnits": 2,
        "status": "InService",
        **members,
    }


def custom(**members: Any) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:custom-model/"
        "amazon.nova-micro-v1:0:128k/abcdefghijkl",
        "modelName": "mine",
        "baseModelArn": arn_of("amazon.nova-micro-v1:0:128k"),
        "modelStatus": "Active",
        **members,
    }


def listed(
    models: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
    customs: list[dict[str, Any]] | None = None,
    throughputs: list[dict[str, Any]] | None = None,
) -> Catalogue:
    lists = ModelLists(
        Listing("ListFoundationModels", tuple(models or ())),
        Listing("ListInferenceProfiles", tuple(profiles or ())),
        Listing("ListCustomModels", tuple(customs or ())),
        Listing("ListProvisionedModelThroughputs", tuple(throughputs or ())),
    )
    return catalogue_of(lists, REGION)


def test_what_is_paid_for_by_the_hour_comes_first() -> None:
    found = listed(
        [foundation("amazon.nova-lite-v1:0"), foundation("amazon.nova-canvas-v1:0")],
        [
            profile("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "SYSTEM_DEFINED", REGION),
            profile("abcdefghijkl", "amazon.nova-lite-v1:0", "APPLICATION", REGION),
        ],
        [custom()],
        [provisioned()],
    )
    assert [(m.kind, m.name) for m in found.models] == [
        ("provisioned", "tickets"),
        ("profile", "profile abcdefghijkl"),
        ("profile", "profile us.amazon.nova-lite-v1:0"),
        ("foundation", "nova-canvas-v1:0"),
        ("foundation", "nova-lite-v1:0"),
        ("custom", "mine"),
    ]
    own = found.find(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:x/abcdefghijkl")
    assert own is not None
    assert (own.base, own.family) == ("amazon.nova-lite-v1:0", "nova")
    assert found.on("image") == [m for m in found.models if m.base == "amazon.nova-canvas-v1:0"]


def test_a_throughput_says_its_state_and_units() -> None:
    """Also of the longer context of a model, whose life cycle is that of the model."""
    ends = dt.datetime(2027, 1, 8, tzinfo=dt.UTC)
    lite = foundation(
        "amazon.nova-lite-v1:0", modelLifecycle={"status": "LEGACY", "endOfLifeTime": ends}
    )
    until = dt.datetime(2026, 12, 24, tzinfo=dt.UTC)
    changed = provisioned(status="Updating", desiredModelUnits=3, commitmentExpirationTime=until)
    (model, _) = listed([lite], throughputs=[changed]).models
    assert model.lacks is None
    assert model.facts(NOW.timestamp()) == [
        *("of amazon.nova-lite-v1:0:300k", "Updating", "2 model units", "becoming 3"),
        "committed until 2026-12-24",
        *("Legacy", "ends on 2027-01-08 (in 43 days)"),
    ]
    (made,) = listed(throughputs=[provisioned(status="Creating", modelUnits=1)]).models
    assert made.facts(NOW.timestamp())[1:] == [
        *("Creating", "1 model unit", "becoming 2", "is Creating and does not serve")
    ]


def test_a_model_that_has_ended_says_so() -> None:
    ended = {
        "status": "LEGACY",
        "endOfLifeTime": dt.datetime(2026, 11, 25, tzinfo=dt.UTC),
        "publicExtendedAccessTime": dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    }
    (model,) = listed([foundation("amazon.nova-lite-v1:0", modelLifecycle=ended)]).models
    assert model.facts(NOW.timestamp()) == [
        "Legacy",
        "costs more since 2026-10-01",
        "has ended on 2026-11-25 (1 day ago)",
    ]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["ON_DEMAND", "PROVISIONED"], None),
        ([], None),
        (["INFERENCE_PROFILE"], "is served through inference profiles only: choose one of them"),
        (["PROVISIONED"], "is served by provisioned throughput only"),
    ],
)
def test_an_id_that_calls_cannot_name_says_what_to_name(
    types: list[str], expected: str | None
) -> None:
    (model,) = listed([foundation("amazon.nova-lite-v1:0", inferenceTypesSupported=types)]).models
    assert model.lacks == expected


def test_most_custom_models_are_named_by_what_serves_them() -> None:
    """InvokeModel refuses an ARN whose base has a version."""
    plain = str(custom()["modelArn"]).replace(":0:128k", "")
    models = listed(customs=[custom(), custom(modelArn=plain), custom(modelStatus="Failed")]).models
    lacks = {model.model_id: model.lacks for model in models if model.status == "Active"}
    assert lacks[plain] is None
    assert "provisioned throughput or a deployment" in str(lacks[str(custom()["modelArn"])])
    assert [m.lacks for m in models if m.status == "Failed"] == ["is Failed and does not serve"]


@pytest.mark.parametrize(
    ("model_id", "makes", "tabs"),
    [
        ("amazon.nova-lite-v1:0", ["TEXT"], ("chat", "text")),
        ("some.new-chat-model", ["TEXT"], ("chat", "text")),
        ("some.new-model", ["VIDEO"], ()),
        ("some.new-model", [], ("chat", "text")),
        ("amazon.nova-canvas-v1:0", ["IMAGE"], ("image",)),
        ("stability.sd3-5-large-v1:0", ["IMAGE"], ("image",)),
        ("stability.stable-image-inpaint-v1:0", ["IMAGE"], ()),
        ("cohere.embed-v4:0", ["EMBEDDING"], ("embedding",)),
        ("amazon.nova-2-multimodal-embeddings-v1:0", ["EMBEDDING"], ("embedding",)),
        ("amazon.nova-sonic-v1:0", ["SPEECH"], ()),
        ("amazon.rerank-v1:0", ["TEXT"], ()),
    ],
)
def test_the_tabs_of_a_model(model_id: str, makes: list[str], tabs: tuple[str, ...]) -> None:
    """What it makes says where it is asked; a model of no family that chats goes by Converse."""
    assert tabs_of(model_id, makes) == tabs
    (model,) = listed([foundation(model_id, outputModalities=makes)]).models
    assert model.tabs == tabs


def test_every_family_has_a_tab() -> None:
    for family in FAMILIES:
        if family.pattern is None:
            continue
        kind = {(True, False): "image", (False, True): "chat", (False, False): "embedding"}
        assert kind[family.answers_images, family.read_chunk is not None] in TABS


@pytest.mark.parametrize(
    ("model_id", "kind", "base", "tabs"),
    [
        ("amazon.nova-lite-v1:0", "foundation", "amazon.nova-lite-v1:0", ("chat", "text")),
        ("us.amazon.nova-lite-v1:0", "profile", "amazon.nova-lite-v1:0", ("chat", "text")),
        (PROVISIONED, "provisioned", None, TABS),
        (str(custom()["modelArn"]), "custom", "amazon.nova-micro-v1:0:128k", ("chat", "text")),
        (
            f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/abcdefghijkl",
            *("profile", None, TABS),
        ),
    ],
)
def test_a_model_that_is_not_listed_is_what_its_id_says(
    model_id: str, kind: str, base: str | None, tabs: tuple[str, ...]
) -> None:
    model = named_model(model_id)
    assert (model.kind, model.base, model.tabs) == (kind, base, tabs)


class Client:
    """Lists one model on each of two pages; fails by the operation's name."""

    def __init__(self, **failures: Exception) -> None:
        self._failures = failures

    def list_foundation_models(self) -> dict[str, Any]:
        self._fail("list_foundation_models")
        return {"modelSummaries": [foundation("amazon.nova-lite-v1:0")]}

    def get_paginator(self, name: str) -> Any:
        client = self

        class Pages:
            def paginate(self) -> Any:
                client._fail(name)
                pages: dict[str, Any] = {
                    "list_inference_profiles": (
                        "inferenceProfileSummaries",
                        [profile(x, "a.b", "SYSTEM_DEFINED") for x in ("p1", "p2")],
                    ),
                    "list_custom_models": ("modelSummaries", [custom(), custom()]),
                    "list_provisioned_model_throughputs": (
                        "provisionedModelSummaries",
                        [provisioned(), provisioned()],
                    ),
                }
                member, items = pages[name]
                return ({member: [item]} for item in items)

        return Pages()

    def _fail(self, name: str) -> None:
        if name in self._failures:
            raise self._failures[name]


def test_all_pages_are_read() -> None:
    """And the docs have the action of each listing."""
    lists = list_models(Client())  # type: ignore[arg-type]
    assert lists.faults == []
    listings = (lists.foundation, lists.profiles, lists.custom, lists.provisioned)
    assert [len(each.items) for each in listings] == [1, 2, 2, 2]
    page = (ROOT / "docs" / "ui.md").read_text("utf-8")
    assert all(f'"bedrock:{each.action}"' in page for each in listings)


def test_a_list_that_is_refused_leaves_the_others() -> None:
    """Its fault names the action to allow; the same fault of all lists is said once."""
    reply: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
    refused = ClientError(reply, "ListCustomModels")
    lists = list_models(Client(list_custom_models=refused))  # type: ignore[arg-type]
    assert len(lists.foundation.items) == 1
    assert lists.faults == [
        "ListCustomModels was refused (AccessDeniedException): allow bedrock:ListCustomModels to "
        "list these"
    ]
    names = ("foundation_models", "inference_profiles", "custom_models")
    none = {
        f"list_{name}": NoCredentialsError() for name in (*names, "provisioned_model_throughputs")
    }
    assert list_models(Client(**none)).faults == [  # type: ignore[arg-type]
        "no credentials of AWS were found, so no model can be listed"
    ]
