"""The family of any model id: from the id, from the provisioned throughput, or unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import served_family, served_model
from bedrock_spark.errors import ConfigError, ProvisionedModelError
from tests.unit.fakes import ACCOUNT, CLAUDE_MODEL, PROVISIONED, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
AWS = AwsSettings("us-east-1")
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"


@pytest.fixture(autouse=True)
def one_client(bedrock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every call with the client whose replies are canned."""
    monkeypatch.setattr("bedrock_spark.aws.model_family.bedrock_client", lambda aws: bedrock)


def foundation(model_id: str) -> str:
    return f"arn:aws:bedrock:us-east-1::foundation-model/{model_id}"


def throughput(model_id: str, status: str = "InService", **more: Any) -> tuple[int, dict[str, Any]]:
    """Return a GetProvisionedModelThroughput reply."""
    return 200, {"status": status, "foundationModelArn": foundation(model_id), **more}


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        (CLAUDE_MODEL, "anthropic"),
        (f"us.{CLAUDE_MODEL}", "anthropic"),
        (foundation("amazon.nova-lite-v1:0"), "nova"),
        ("cohere.embed-english-v3", "cohere_embed"),
    ],
)
def test_an_id_that_shows_its_family_needs_no_call(
    model_id: str, family: str, clock: FakeClock
) -> None:
    """A call would fail: this test has no network."""
    assert served_family(AWS, model_id, clock).name == family


@pytest.mark.parametrize("status", ["InService", "Updating"])
def test_a_provisioned_throughput_has_the_family_of_its_foundation_model(
    bedrock: Any, canned: Canned, clock: FakeClock, status: str
) -> None:
    """One call, and a retry because it is throttled."""
    slow = aws_failure("ThrottlingException", 429)
    http = canned(bedrock, slow, throughput("meta.llama3-8b-instruct-v1:0", status))
    assert served_family(AWS, PROVISIONED, clock).name == "llama3"
    assert "provisioned-model-throughput/" in http.sent[1].url


def test_a_profile_is_looked_up(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """As when a run begins."""
    canned(bedrock, (200, {"models": [{"modelArn": foundation("qwen.qwen3-32b-v1:0")}]}))
    assert served_family(AWS, PROFILE, clock).name == "qwen"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (throughput(CLAUDE_MODEL, "Creating"), "is Creating and does not serve$"),
        (throughput(CLAUDE_MODEL, "Failed", failureMessage="No units"), "is Failed .*: No units$"),
        (aws_failure("ResourceNotFoundException", 404, "gone"), "ResourceNotFoundException: gone"),
    ],
)
def test_a_throughput_that_does_not_serve_is_an_error(
    bedrock: Any, canned: Canned, clock: FakeClock, reply: Any, said: str
) -> None:
    """With its status and the service's reason, before the model is called."""
    canned(bedrock, reply)
    with pytest.raises(ProvisionedModelError, match=said):
        served_family(AWS, PROVISIONED, clock)


def test_an_unknown_family_is_an_error(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """It names the model behind the ARN."""
    with pytest.raises(ConfigError, match=r"^amazon\.nova-reel-v1:0: the family is not known$"):
        served_family(AWS, "amazon.nova-reel-v1:0", clock)
    canned(bedrock, throughput("amazon.nova-reel-v1:0"))
    with pytest.raises(ConfigError, match=r"the family of .*/amazon\.nova-reel-v1:0 is not known$"):
        served_family(AWS, PROVISIONED, clock)


def test_a_served_model_has_its_base(bedrock: Any, canned: Canned, clock: FakeClock) -> None:
    """A throughput's is the model that it serves, which has the prices and options."""
    plain = served_model(AWS, CLAUDE_MODEL, clock)
    assert (plain.base, plain.family.name, plain.note) == (CLAUDE_MODEL, "anthropic", None)
    of_profile = 200, {"models": [{"modelArn": foundation(CLAUDE_MODEL)}]}
    canned(bedrock, throughput("amazon.nova-lite-v1:0"), of_profile)
    bought = served_model(AWS, PROVISIONED, clock)
    assert (bought.id, bought.base) == (PROVISIONED, foundation("amazon.nova-lite-v1:0"))
    assert (bought.family.name, bought.note) == ("nova", None)
    profile = served_model(AWS, PROFILE, clock)
    assert (profile.id, profile.base) == (PROFILE, foundation(CLAUDE_MODEL))
    assert (profile.family.name, profile.note) == ("anthropic", None)


@pytest.mark.parametrize(
    ("model_id", "reply"),
    [
        ("us.xai.grok-4.7", None),
        ("writer.palmyra-x5-v1:0", None),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:imported-model/abcdefghijkl", None),
        (PROFILE, aws_failure("AccessDeniedException", 403, "no")),
        (PROVISIONED, throughput("writer.palmyra-x5-v1:0")),
    ],
)
def test_a_model_of_no_known_family_is_asked_by_converse(
    bedrock: Any, canned: Canned, clock: FakeClock, model_id: str, reply: Any
) -> None:
    """Whether its id has no family, or hides it and the service does not tell. The note says so."""
    canned(bedrock, *([] if reply is None else [reply]))
    model = served_model(AWS, model_id, clock)
    assert model.family.name == "converse"
    assert model.note == f"no family is known for {model.base}, so it is asked by Converse"


def test_a_model_that_does_not_chat_is_not_asked_by_converse(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """Converse would refuse it. The message says what it does."""
    said = "makes videos, and no family builds its requests"
    with pytest.raises(ConfigError, match=said):
        served_model(AWS, "amazon.nova-reel-v1:0", clock)
    canned(bedrock, throughput("amazon.nova-reel-v1:0"))
    with pytest.raises(ConfigError, match=said):
        served_model(AWS, PROVISIONED, clock)
