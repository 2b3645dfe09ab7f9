"""Models that have ended, end soon, or may not be used by the account."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from typing import Any, cast

import pytest

from bedrock_spark import model_check
from bedrock_spark.aws import model_state
from bedrock_spark.aws.clients import AwsSettings, model_client
from bedrock_spark.aws.model_state import ModelState, ask_model_state
from bedrock_spark.errors import ExitCode, ModelUnavailableError
from bedrock_spark.model_check import (
    UsedModel,
    ask_models,
    ends_soon,
    faults_of,
    notices_of,
    refuse_unusable,
)
from bedrock_spark.run_folder.run import Run
from tests.models import CLAUDE_MODEL, NOVA
from tests.unit.fakes import ACCOUNT, make_config

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC).timestamp()
DAY = 86_400.0
AWS = AwsSettings("us-east-1", "http://localhost:9")


def used(**state: Any) -> UsedModel:
    return UsedModel("model.id", NOVA, ModelState(NOVA, "us-east-1", **state))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (used(), None),
        (used(ends_at=NOW + DAY), None),
        (used(ends_at=NOW), "has ended this model on 2026-11-26"),
        (used(ends_at=NOW - DAY, lacks=("x",)), "has ended this model on 2026-11-25"),
        (used(lacks=("no a", "no b")), f"model.id = '{NOVA}': no a; no b"),
        (used(status="LEGACY"), None),
        (replace(used(status="LEGACY"), is_bought=True), "no provisioned throughput"),
    ],
)
def test_a_model_that_cannot_be_used_is_a_fault(model: UsedModel, text: str | None) -> None:
    """It has ended, the account lacks something, or model units of a Legacy model are wanted."""
    faults = faults_of([model], NOW)
    assert (text in faults[0]) if text else faults == []


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (used(), None),
        (used(ends_at=NOW + 91 * DAY), None),
        (used(ends_at=NOW - DAY), None),
        (used(ends_at=NOW + 90 * DAY), "ends on 2027-02-24, in 90 days"),
        (used(status="LEGACY"), "is marked Legacy"),
        (
            used(status="LEGACY", ends_at=NOW + 30 * DAY, extended_access_at=NOW - DAY),
            "is marked Legacy, ends on 2026-12-26, in 30 days, costs more since 2026-11-25",
        ),
        (
            used(ends_at=NOW + 30 * DAY, extended_access_at=NOW + DAY),
            "ends on 2026-12-26, in 30 days, may cost more from 2026-11-27",
        ),
    ],
)
def test_a_model_that_ends_soon_has_a_line(model: UsedModel, text: str | None) -> None:
    """Within 90 days, or as soon as it is Legacy."""
    notices = notices_of([model], NOW)
    assert (text in notices[0]) if text else notices == []


def test_faults_are_one_error_or_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """With `batch.lint: ignore` the user knows better."""
    with pytest.raises(ModelUnavailableError, match="a\nb\nNo record was asked") as error:
        refuse_unusable(["a", "b"], make_config())
    assert error.value.exit_code == ExitCode.ACCESS
    refuse_unusable(["a", "b"], make_config(batch={"lint": "ignore"}))
    assert [record.getMessage() for record in caplog.records] == ["a", "b"]


def test_every_model_of_a_config_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per Region; a fallback with the id of the run's model is not asked again."""
    asked = []

    def answer(aws: AwsSettings, model_id: str) -> ModelState | None:
        asked.append((aws.region, model_id))
        return None if model_id.startswith("global.") else ModelState(model_id, aws.region or "")

    monkeypatch.setattr(model_check, "ask_model_state", answer)
    config = make_config(
        model={"id": CLAUDE_MODEL},
        batch={"region": "us-east-1"},
        targets=[
            {"model_id": CLAUDE_MODEL},
            {"model_id": f"eu.{CLAUDE_MODEL}", "region": "eu-west-1", "uri": "s3://eu-bucket/x"},
        ],
        canary={"model_id": f"global.{CLAUDE_MODEL}"},
        fallback={"model_id": CLAUDE_MODEL},
    )
    storage = type("Folder", (), {"uri": "s3://bucket/run"})()
    run = Run("r", config, cast("Any", storage), AWS)
    keys = [model.key for model in ask_models(run)]
    assert asked == [
        ("us-east-1", CLAUDE_MODEL),
        ("eu-west-1", f"eu.{CLAUDE_MODEL}"),
        ("us-east-1", f"global.{CLAUDE_MODEL}"),
    ]
    assert keys == ["model.id", "targets[0].model_id", "targets[1].model_id", "fallback.model_id"]


def test_a_run_in_a_local_folder_asks_nothing() -> None:
    """It has no batch jobs, and needs no network."""
    storage = type("Folder", (), {"uri": "/tmp/run"})()
    assert ask_models(Run("r", make_config(), cast("Any", storage), AWS)) == ()


LIFE = {
    "modelDetails": {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}",
        "modelId": NOVA,
        "modelLifecycle": {
            "status": "LEGACY",
            "legacyTime": "2026-09-01T00:00:00Z",
            "publicExtendedAccessTime": "2026-12-01T00:00:00Z",
            "endOfLifeTime": "2027-03-01T00:00:00Z",
        },
    }
}
FREE = {
    "modelId": NOVA,
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}


@pytest.mark.parametrize(
    "model_id",
    [NOVA, f"us.{NOVA}", f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{NOVA}"],
)
def test_a_model_and_its_profiles_are_asked_as_the_foundation_model(
    canned: Any, model_id: str
) -> None:
    """Times are seconds since the epoch."""
    http = canned(model_client(AWS), (200, LIFE), (200, FREE))
    state = ask_model_state(AWS, model_id)
    assert state == ModelState(
        *(NOVA, "us-east-1", "LEGACY"),
        *(1788220800.0, 1796083200.0, 1803859200.0),
    )
    assert [str(request.url).rsplit("/", 1)[-1] for request in http.sent] == [
        NOVA.replace(":", "%3A")
    ] * 2


@pytest.mark.parametrize(
    ("changes", "model_id", "texts"),
    [
        ({}, NOVA, []),
        ({"agreementAvailability": {"status": "PENDING"}}, NOVA, []),
        ({"agreementAvailability": {"status": "NOT_AVAILABLE"}}, NOVA, ["no agreement"]),
        ({"agreementAvailability": {"status": "ERROR"}}, NOVA, ["no agreement"]),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, NOVA, ["not authorized"]),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, NOVA, ["no access"]),
        ({"regionAvailability": "NOT_AVAILABLE"}, NOVA, ["the Region does not have it"]),
        ({"regionAvailability": "NOT_AVAILABLE"}, f"us.{NOVA}", []),
        (
            {"authorizationStatus": "NOT_AUTHORIZED", "entitlementAvailability": "NOT_AVAILABLE"},
            NOVA,
            ["not authorized", "no access"],
        ),
    ],
)
def test_what_the_account_lacks_is_named(
    canned: Any, changes: dict[str, Any], model_id: str, texts: list[str]
) -> None:
    """A subscription that is pending may work already; a profile sends calls elsewhere."""
    canned(model_client(AWS), (200, LIFE), (200, {**FREE, **changes}))
    state = ask_model_state(AWS, model_id)
    assert state is not None
    assert len(state.lacks) == len(texts)
    assert all(text in lack for text, lack in zip(texts, state.lacks, strict=True))


DENIED = (403, {"__type": "AccessDeniedException", "message": "no"})
UNKNOWN = (404, {"__type": "ResourceNotFoundException", "message": "no"})


@pytest.mark.parametrize("reply", [DENIED, UNKNOWN])
def test_a_caller_who_may_not_ask_loses_nothing(
    canned: Any, caplog: pytest.LogCaptureFixture, reply: Any
) -> None:
    """The reason is a debug line. What the first call has told stays known."""
    with caplog.at_level(logging.DEBUG, model_state.__name__):
        canned(model_client(AWS), reply, (200, LIFE), reply)
        assert ask_model_state(AWS, NOVA) is None
        state = ask_model_state(AWS, NOVA)
    assert state is not None
    assert (state.status, state.lacks) == ("LEGACY", ())
    ours = [record for record in caplog.records if record.name == model_state.__name__]
    assert [record.levelno for record in ours] == [logging.DEBUG] * 2


def test_an_imported_model_hides_its_foundation_model() -> None:
    """Nothing is asked."""
    arn = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/imported/abcdefghijkl"
    assert ask_model_state(AWS, arn) is None


@pytest.mark.parametrize(
    ("ends_on", "text"),
    [
        (None, None),
        ("2027-02-25", None),
        ("2027-02-24", f"{NOVA} on 2027-02-24, in 90 days (model.id)"),
        ("2026-11-20", f"{NOVA} on 2026-11-20, 6 days ago (model.id)"),
    ],
)
def test_the_closing_table_counts_the_days(ends_on: str | None, text: str | None) -> None:
    """From when the report was written."""
    model = {"key": "model.id", "model_id": NOVA, "ends_on": ends_on}
    assert ends_soon([model], NOW) == ([text] if text else [])


def test_a_model_that_several_keys_name_has_one_line() -> None:
    """With all of the keys, as a warning, an error and a line of the closing table."""
    soon = used(ends_at=NOW + DAY)
    both = [soon, replace(soon, key="fallback.model_id")]
    keys = "model.id and fallback.model_id"
    assert notices_of(both, NOW) == [f"{keys} = '{NOVA}': ends on 2026-11-27, in 1 day"]
    assert ends_soon([model.as_json() for model in both], NOW) == [
        f"{NOVA} on 2026-11-27, in 1 day ({keys})"
    ]
    faults = faults_of([replace(model, state=used(ends_at=NOW).state) for model in both], NOW)
    assert len(faults) == 1
    assert faults[0].startswith(f"{keys} = '{NOVA}'")
