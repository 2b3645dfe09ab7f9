"""Models, the Regions of their profiles, and provisioned throughput, by replies of the service."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_spark.doctor.findings import Finding
from bedrock_spark.doctor.models import (
    NamedModel,
    foundation_arns,
    model_findings,
    profile_findings,
)
from bedrock_spark.doctor.provisioned import provisioned_findings
from bedrock_spark.doctor.world import World
from tests.models import CLAUDE, CLAUDE_MODEL, NOVA
from tests.unit.fakes import make_config

NOW = 1_800_000_000.0
UNITS = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefabcdef"
AVAILABLE = {
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
ACTIVE = {"modelDetails": {"modelLifecycle": {"status": "ACTIVE"}}}


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


class Service:
    """Bedrock in one Region: each call has a reply, or an error."""

    def __init__(self, region: str, replies: dict[str, Any]) -> None:
        self.region, self.replies = region, replies

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> Any:
            reply = self.replies.get(f"{name} {self.region}", self.replies.get(name))
            if isinstance(reply, Exception):
                raise reply
            return reply

        return call

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return [{"inferenceProfileSummaries": self.replies.get("profiles", ())}]


def world(**replies: Any) -> World:
    """Return a world whose service answers well, unless `replies` says otherwise."""
    regions = "us-east-1", "us-west-2"
    arns = [f"arn:aws:bedrock:{region}::foundation-model/{CLAUDE_MODEL}" for region in regions]
    good = {
        "get_inference_profile": {"models": [{"modelArn": arn} for arn in arns]},
        "get_foundation_model": ACTIVE,
        "get_foundation_model_availability": AVAILABLE,
    }
    own = {**good, **replies}
    return World(make_config(), "us-east-1", lambda _, region: Service(region, own))


def levels(found: Any) -> list[str]:
    return [finding.level for finding in found]


def test_a_profile_that_the_region_does_not_have_names_others() -> None:
    profiles = [
        {
            "inferenceProfileId": f"global.{CLAUDE_MODEL}",
            "models": [{"modelArn": f"arn:aws:bedrock:::foundation-model/{CLAUDE_MODEL}"}],
        }
    ]
    gone = world(get_inference_profile=refused("ResourceNotFoundException"), profiles=profiles)
    (found,) = model_findings(gone, NamedModel("model.id", CLAUDE, "us-east-1"), NOW)
    assert (found.level, found.fix) == ("error", f'model: {{id: "global.{CLAUDE_MODEL}"}}')


def test_each_region_of_a_profile_has_its_line() -> None:
    """A record may be sent to any of them."""
    model = NamedModel("model.id", CLAUDE, "us-east-1")
    assert levels(profile_findings(world(), model)) == ["ok", "ok"]
    closed = {**AVAILABLE, "authorizationStatus": "NOT_AUTHORIZED"}
    west = "get_foundation_model_availability us-west-2"
    by_organization = refused(
        "AccessDeniedException", "with an explicit deny in a service control policy"
    )
    for reply, level, said in (
        (closed, "error", "the account is not authorized to use it"),
        (by_organization, "error", "records fail at random: a service control policy"),
        (refused("AccessDeniedException"), "not checked", "needs bedrock:GetFoundationModelAvail"),
    ):
        found = list(profile_findings(world(**{west: reply}), model))
        assert levels(found) == ["ok", level]
        assert said in found[1].what
        assert "in us-west-2, one of its Regions," in found[1].what


def test_a_model_that_nothing_describes_is_not_checked() -> None:
    model = NamedModel("model.id", CLAUDE, "us-east-1")
    silent = world(get_foundation_model=refused("ResourceNotFoundException"))
    assert levels(model_findings(silent, model, NOW)) == ["not checked"]


def test_a_misspelt_model_names_the_nearest() -> None:
    silent = world(get_foundation_model=refused("ValidationException"))
    model = NamedModel("fallback.model_id", NOVA.replace("lite-v1", "lite-v7"), "us-east-1")
    (found,) = model_findings(silent, model, NOW)
    assert (found.level, found.fix) == ("error", f'fallback: {{model_id: "{NOVA}"}}')


@pytest.mark.parametrize(
    ("kinds", "is_called", "expected"),
    [
        (["INFERENCE_PROFILE"], True, ["ok", "error"]),
        (["INFERENCE_PROFILE"], False, ["ok"]),
        (["ON_DEMAND"], True, ["ok"]),
        ([], True, ["ok"]),
    ],
)
def test_a_model_that_is_called_must_take_calls(
    kinds: list[str], is_called: bool, expected: list[str]
) -> None:
    """By its own id; batch jobs take it in any case."""
    described = {"modelDetails": {**ACTIVE["modelDetails"], "inferenceTypesSupported": kinds}}
    model = NamedModel("model.id", CLAUDE_MODEL, "us-east-1", is_called)
    found = model_findings(world(get_foundation_model=described), model, NOW)
    assert levels(found) == expected


def test_the_models_of_a_simulation_are_those_of_every_region() -> None:
    models = [
        NamedModel("model.id", CLAUDE, "us-east-1"),
        NamedModel("fallback.model_id", NOVA, "us-east-1"),
    ]
    assert foundation_arns(world(), models) == [
        f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE_MODEL}",
        f"arn:aws:bedrock:us-west-2::foundation-model/{CLAUDE_MODEL}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",
    ]
    unanswered = world(get_inference_profile=refused("AccessDeniedException"))
    assert len(foundation_arns(unanswered, models)) == 1


@pytest.mark.parametrize(
    ("reply", "level", "said"),
    [
        ({"status": "InService", "modelUnits": 2}, "ok", "is InService, 2 model units"),
        ({"status": "Updating"}, "ok", "is Updating"),
        ({"status": "Creating"}, "warning", "is Creating; the fallback waits"),
        ({"status": "Failed", "failureMessage": "why"}, "error", "is Failed: why"),
        (refused("ResourceNotFoundException"), "error", "does not exist"),
    ],
)
def test_the_state_of_provisioned_throughput(reply: Any, level: str, said: str) -> None:
    found: list[Finding] = list(
        provisioned_findings(
            world(get_provisioned_model_throughput=reply), "fallback.model_id", UNITS
        )
    )
    assert levels(found) == [level]
    assert said in found[0].what
