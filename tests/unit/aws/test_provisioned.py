"""Provisioned throughput: does it exist, is it ready, does it accept this run's bodies?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from bedrock_spark.aws.provisioned import check_provisioned, is_provisioned, wait_for_provisioned
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ProvisionedModelError
from tests.unit.fakes import ACCOUNT, CLAUDE_MODEL, PROVISIONED, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
MODEL = ModelConfig(id=CLAUDE_MODEL)


def description(status: str, base: str = CLAUDE_MODEL, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return a GetProvisionedModelThroughput reply."""
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{base}"
    return 200, {
        "modelUnits": 1,
        "desiredModelUnits": 1,
        "provisionedModelName": "x",
        "provisionedModelArn": PROVISIONED,
        "modelArn": arn,
        "desiredModelArn": arn,
        "foundationModelArn": arn,
        "status": status,
        "creationTime": "2026-11-01T00:00:00Z",
        "lastModifiedTime": "2026-11-01T00:00:00Z",
        **more,
    }


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        (PROVISIONED, True),
        (PROVISIONED.replace("aws", "aws-us-gov", 1), True),
        (CLAUDE_MODEL, False),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{CLAUDE_MODEL}", False),
        (PROVISIONED + "x", False),
        ("my-provisioned-model/abcdefghijkl", False),
    ],
)
def test_an_arn_shows_that_it_is_provisioned(model_id: str, expected: bool) -> None:
    """Only such a model is looked up before the fallback begins."""
    assert is_provisioned(model_id) is expected


@pytest.mark.parametrize(
    ("status", "ready"), [("InService", True), ("Updating", True), ("Creating", False)]
)
def test_whether_it_is_ready(
    bedrock: Any, canned: Canned, clock: FakeClock, status: str, ready: bool
) -> None:
    """While it is updated it still serves. One call, no wait."""
    http = canned(bedrock, description(status))
    assert check_provisioned(bedrock, PROVISIONED, MODEL, clock) is ready
    assert PROVISIONED.rsplit("/", 1)[-1] in http.sent[0].url
    assert clock.waits == []


def test_waiting_looks_every_15_seconds(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """A purchase takes minutes. After the last look there is no sleep."""
    canned(bedrock, description("Creating"), description("Creating"), description("InService"))
    wait_for_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert clock.waits == [15.0, 15.0]


def test_waiting_has_a_time_limit(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """After half an hour an error says what to do."""
    canned(bedrock, *[description("Creating")] * 121)
    with pytest.raises(ProvisionedModelError, match="not in service after 30 minutes; run again"):
        wait_for_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert sum(clock.waits) == 1_800


@pytest.mark.parametrize(
    ("more", "said"),
    [({"failureMessage": "no capacity"}, "no capacity"), ({}, "no reason given")],
)
def test_a_failed_throughput_is_an_error_with_its_reason(
    bedrock: Any, canned: Canned, clock: FakeClock, more: dict[str, str], said: str
) -> None:
    """Waiting would not make it ready."""
    canned(bedrock, description("Failed", **more))
    with pytest.raises(ProvisionedModelError, match=rf"{PROVISIONED}: is Failed: {said}"):
        wait_for_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert clock.waits == []


@pytest.mark.parametrize(
    ("base", "family"),
    [
        ("amazon.titan-text-express-v1", "titan_text"),
        ("meta.llama2-13b-chat-v1", "converse"),
        ("amazon.nova-reel-v1:0", "unknown"),
    ],
)
def test_a_model_of_another_family_is_refused(
    bedrock: Any, canned: Canned, clock: FakeClock, base: str, family: str
) -> None:
    """It would refuse every body. The message names the ARN that is at fault."""
    canned(bedrock, description("InService", base))
    with pytest.raises(ProvisionedModelError) as caught:
        check_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert str(caught.value) == (
        f"fallback.model_id {PROVISIONED}: serves {base}, of the family {family}; the records of "
        "this run are anthropic bodies"
    )


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(id="us." + CLAUDE_MODEL),
        ModelConfig(id="x", family="raw"),
        ModelConfig(id="x", invocation="converse"),
    ],
)
def test_another_model_of_the_family_is_accepted(
    bedrock: Any, canned: Canned, clock: FakeClock, model: ModelConfig
) -> None:
    """A newer Claude takes the same body, Converse fits all, a family in the config is trusted."""
    base = "anthropic.claude-v2:1" if model.id != "x" else "meta.llama3-8b-instruct-v1:0"
    canned(bedrock, description("InService", base))
    assert check_provisioned(bedrock, PROVISIONED, model, clock)


def test_a_passing_failure_is_retried(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """Throttling, a server error, no reply: the same call again."""
    http = canned(
        bedrock,
        aws_failure("ThrottlingException", 429),
        aws_failure("InternalServerException", 500),
        EndpointConnectionError(endpoint_url="https://x"),
        description("InService"),
    )
    assert check_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert len(http.sent) == 4
    assert len(clock.waits) == 3


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_a_throughput_that_does_not_exist_is_an_error(
    bedrock: Any, canned: Canned, clock: FakeClock, code: str
) -> None:
    """Of the provisioned model, not of a batch job. There is no retry."""
    canned(bedrock, aws_failure(code, 404, "nothing here"))
    with pytest.raises(ProvisionedModelError, match=rf"{PROVISIONED}: {code}: nothing here"):
        check_provisioned(bedrock, PROVISIONED, MODEL, clock)
    assert clock.waits == []
