"""The family of a model id that hides it: from the service, or an error that says what to set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from bedrock_spark.aws.model_family import ask_family, hides_family
from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import ACCOUNT, CLAUDE_MODEL, CannedHttp, FakeClock, aws_failure

Canned = Callable[..., CannedHttp]
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"
TUNED = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl"
IMPORTED = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model/imported/abcdefghijkl"


def foundation(model_id: str, region: str = "us-east-1") -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{model_id}"


def profile_of(*arns: str) -> tuple[int, dict[str, Any]]:
    """Return a GetInferenceProfile reply."""
    return 200, {
        "inferenceProfileName": "x",
        "inferenceProfileArn": PROFILE,
        "inferenceProfileId": "abcdefghijkl",
        "models": [{"modelArn": arn} for arn in arns],
        "status": "ACTIVE",
        "type": "APPLICATION",
    }


def custom_of(base: str | None) -> tuple[int, dict[str, Any]]:
    """Return a GetCustomModel reply."""
    reply = {"modelName": "x", "modelArn": IMPORTED, "creationTime": "2026-11-01T00:00:00Z"}
    return 200, reply | ({"baseModelArn": base} if base else {})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"id": PROFILE}, True),
        ({"id": PROFILE.replace("aws", "aws-us-gov", 1)}, True),
        ({"id": TUNED}, True),
        ({"id": IMPORTED}, True),
        ({"id": PROFILE, "family": "nova"}, False),
        ({"id": PROFILE, "invocation": "converse"}, False),
        ({"id": CLAUDE_MODEL}, False),
        ({"id": foundation(CLAUDE_MODEL)}, False),
        ({"id": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{CLAUDE_MODEL}"}, False),
        ({"id": "no.such-model"}, False),
    ],
)
def test_which_ids_hide_their_family(model: dict[str, Any], expected: bool) -> None:
    """No call if the id or the config shows the family, or if the family does not matter."""
    assert hides_family(ModelConfig(**model)) is expected


def test_a_profile_has_the_family_of_its_models(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """One ARN of the same model per Region; one call, with the whole ARN of the profile."""
    arns = [foundation(CLAUDE_MODEL, region) for region in ("us-east-1", "us-west-2")]
    http = canned(bedrock, profile_of(*arns))
    assert ask_family(bedrock, ModelConfig(id=PROFILE), clock) == "anthropic"
    assert http.sent[0].url.endswith(
        f"/inference-profiles/{PROFILE.replace(':', '%3A').replace('/', '%2F')}"
    )


@pytest.mark.parametrize(
    ("replies", "family"),
    [
        ([foundation("meta.llama3-1-8b-instruct-v1:0:128k")], "llama3"),
        ([TUNED], "nova"),
        ([IMPORTED.replace("abc", "xyz"), foundation("qwen.qwen3-32b-v1:0")], "qwen"),
    ],
)
def test_a_custom_model_has_the_family_of_its_base(
    bedrock: Any, canned: Canned, clock: FakeClock, replies: list[str], family: str
) -> None:
    """Also if the base is a custom model itself."""
    canned(bedrock, *[custom_of(base) for base in replies])
    assert ask_family(bedrock, ModelConfig(id=IMPORTED), clock) == family


def test_a_custom_model_that_names_its_base_needs_no_call(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """And so no permission."""
    http = canned(bedrock)
    assert ask_family(bedrock, ModelConfig(id=TUNED), clock) == "nova"
    assert http.sent == []


@pytest.mark.parametrize(
    ("model_id", "code", "action"),
    [
        (PROFILE, "AccessDeniedException", "GetInferenceProfile"),
        (PROFILE, "ResourceNotFoundException", "GetInferenceProfile"),
        (IMPORTED, "AccessDeniedException", "GetCustomModel"),
        (IMPORTED, "ValidationException", "GetCustomModel"),
    ],
)
def test_a_refusal_says_what_to_allow_and_what_to_set(
    bedrock: Any, canned: Canned, clock: FakeClock, model_id: str, code: str, action: str
) -> None:
    """The service's words, the permission and the families, but nothing about batch jobs."""
    canned(bedrock, aws_failure(code, 403, "not yours"))
    with pytest.raises(ConfigError) as caught:
        ask_family(bedrock, ModelConfig(id=model_id), clock)
    said = str(caught.value)
    assert said.startswith(f"model.id = {model_id!r}: the id does not show its family")
    assert f"{action}: {code}: not yours. Allow bedrock:{action} on it" in said
    assert "set model.family to one of anthropic, nova, " in said
    assert "PassRole" not in said
    assert clock.waits == []


def test_a_failed_connection_is_retried_and_then_reported(
    bedrock: Any, canned: Canned, clock: FakeClock
) -> None:
    """As throttling and the service's own errors are."""
    failed = EndpointConnectionError(endpoint_url="https://x")
    http = canned(bedrock, aws_failure("ThrottlingException", 429), *[failed] * 7)
    with pytest.raises(ConfigError, match=r"no reply \(EndpointConnectionError\)\. Allow"):
        ask_family(bedrock, ModelConfig(id=PROFILE), clock)
    assert len(http.sent) == 8


@pytest.mark.parametrize(
    ("model_id", "reply", "said"),
    [
        (PROFILE, profile_of(), "GetInferenceProfile names no base model"),
        (IMPORTED, custom_of(None), "GetCustomModel names no base model"),
        (
            PROFILE,
            profile_of(foundation("amazon.nova-reel-v1:0")),
            "is based on .*amazon.nova-reel-v1:0, whose family",
        ),
    ],
)
def test_if_the_service_does_not_say_the_error_says_what_to_set(
    bedrock: Any, canned: Canned, clock: FakeClock, model_id: str, reply: Any, said: str
) -> None:
    """An imported model may have no base; a base may be newer than this version."""
    canned(bedrock, reply)
    with pytest.raises(ConfigError, match=rf"{said}.*set model\.family to one of"):
        ask_family(bedrock, ModelConfig(id=model_id), clock)
