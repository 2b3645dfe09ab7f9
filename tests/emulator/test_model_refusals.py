"""The refusals of models that the local Bedrock makes, and what the package says about each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.errors import invoke_error
from bedrock_spark.aws.model_refusals import model_refusal, with_advice
from bedrock_spark.aws.profiles import profiles_of, refusal_advice
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import InvokeRefusedError, JobRejectedError
from tests.models import SONNET_MODEL

from .kit import CLAUDE_MODEL, Kit, ask

# What the fault script says of the model; the refusal that the package knows; whether single calls
# meet it, too.
CASES: list[tuple[dict[str, Any], str, bool]] = [
    ({"refusal": "on_demand"}, "profile_needed", True),
    ({"refusal": "legacy"}, "legacy", True),
    ({"refusal": "no_access"}, "no_access", True),
    ({"agreement": "NOT_AVAILABLE"}, "no_access", True),
    ({"authorization": "NOT_AUTHORIZED"}, "no_access", True),
    ({"entitlement": "NOT_AVAILABLE"}, "no_access", True),
    ({"region": "NOT_AVAILABLE"}, "unknown_id", True),
    ({"ends_in_days": -1}, "ended", True),
    ({"refusal": "support_case"}, "support_case", False),
    ({"refusal": "no_batch"}, "no_batch", False),
]
CALLS = [(rule, name) for rule, name, is_for_calls in CASES if is_for_calls]


def _set(kit: Kit, rule: dict[str, Any]) -> None:
    served = {"quotas": {"min_records": 1}, "behaviour": {"profile_only": "accept"}}
    kit.local.set_faults({**served, "models": {CLAUDE_MODEL: rule}})


@pytest.mark.parametrize(("rule", "name"), [(rule, name) for rule, name, _ in CASES])
def test_a_refused_job_says_what_to_do(kit: Kit, rule: dict[str, Any], name: str) -> None:
    """Whatever its code is, it is no reason to try the next job."""
    _set(kit, rule)
    jobs = BatchJobs(kit.bedrock, SystemClock())
    uri = kit.put("in/refused.jsonl", [{"recordId": "a" * 11}])
    with pytest.raises(JobRejectedError) as error:
        jobs.create(kit.request(uri, modelId=CLAUDE_MODEL))
    cause = error.value.__cause__
    assert isinstance(cause, ClientError)
    message = cause.response["Error"]["Message"]
    refusal = model_refusal(message)
    assert refusal is not None
    assert refusal.name == name
    assert with_advice(message, refusal.advice) in str(error.value)
    has_profiles = "This Region has us.anthropic" in str(error.value)
    assert has_profiles == (name == "profile_needed")


@pytest.mark.parametrize(("rule", "name"), CALLS)
def test_a_refused_call_is_about_the_model(kit: Kit, rule: dict[str, Any], name: str) -> None:
    """By InvokeModel and by Converse: never a record's own error, which would be final."""
    _set(kit, rule)
    turns = [{"role": "user", "content": [{"text": "x"}]}]
    for call in (
        lambda: kit.runtime.invoke_model(modelId=CLAUDE_MODEL, body=json.dumps(ask("x"))),
        lambda: kit.runtime.converse(modelId=CLAUDE_MODEL, messages=turns),
    ):
        with pytest.raises(ClientError) as error:
            call()
        ours = invoke_error(error.value)
        assert type(ours) is InvokeRefusedError
        refusal = model_refusal(str(ours))
        assert refusal is not None
        assert refusal.name == name


def test_single_calls_go_on_if_only_batch_is_refused(kit: Kit) -> None:
    """As in new accounts, and for models without batch inference."""
    for refusal in ("support_case", "no_batch"):
        _set(kit, {"refusal": refusal})
        assert kit.runtime.invoke_model(modelId=CLAUDE_MODEL, body=json.dumps(ask("x")))[
            "body"
        ].read()


def test_a_profile_is_served_where_the_plain_id_is_not(kit: Kit) -> None:
    """The advice names the profiles of the Region, and they work."""
    _set(kit, {"refusal": "on_demand"})
    (profile,) = profiles_of(kit.bedrock, CLAUDE_MODEL)
    assert profile == f"us.{CLAUDE_MODEL}"
    assert kit.runtime.invoke_model(modelId=profile, body=json.dumps(ask("x")))["body"].read()
    assert kit.submit(1, modelId=profile)


def test_without_the_right_to_list_profiles_the_advice_says_how(kit: Kit) -> None:
    """No error hides the refusal."""
    denied = {"error_rate": 1.0, "error": "AccessDeniedException"}
    kit.local.set_faults({"operations": {"ListInferenceProfiles": denied}})
    message = "Invocation of model ID x with on-demand throughput isn\u2019t supported."
    advice = refusal_advice(message, kit.bedrock, CLAUDE_MODEL)
    assert advice is not None
    assert advice.endswith("aws bedrock list-inference-profiles shows them.")
    assert refusal_advice("Too long", kit.bedrock, CLAUDE_MODEL) is None


def test_the_local_bedrock_tells_the_life_of_a_model(kit: Kit) -> None:
    """By default a model is ACTIVE without an end, and the account may use it."""
    kit.local.set_faults({})
    life = kit.bedrock.get_foundation_model(modelIdentifier=CLAUDE_MODEL)["modelDetails"]
    assert life["modelLifecycle"] == {"status": "ACTIVE"}
    free = kit.bedrock.get_foundation_model_availability(modelId=CLAUDE_MODEL)
    assert (free["agreementAvailability"], free["regionAvailability"]) == (
        {"status": "AVAILABLE"},
        "AVAILABLE",
    )
    _set(kit, {"legacy_in_days": -2, "ends_in_days": 10, "entitlement": "NOT_AVAILABLE"})
    life = kit.bedrock.get_foundation_model(modelIdentifier=CLAUDE_MODEL)["modelDetails"]
    days = life["modelLifecycle"]["endOfLifeTime"] - life["modelLifecycle"]["legacyTime"]
    assert (life["modelLifecycle"]["status"], days.days) == ("LEGACY", 12)
    free = kit.bedrock.get_foundation_model_availability(modelId=CLAUDE_MODEL)
    assert free["entitlementAvailability"] == "NOT_AVAILABLE"


def test_bare_ids_of_models_that_have_profiles_only(kit: Kit) -> None:
    """Refused by single calls, in AWS's words, unless the script says otherwise."""
    talk: Any = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
    kit.local.set_faults({"quotas": {"min_records": 1}})
    for model in (
        *(CLAUDE_MODEL, SONNET_MODEL, "anthropic.claude-sonnet-5"),
        *("amazon.nova-2-lite-v1:0", "deepseek.r1-v1:0"),
    ):
        words = f"Invocation of model ID {model} with on-demand throughput isn.t supported. Retry"
        with pytest.raises(ClientError, match=words):
            kit.runtime.converse(modelId=model, **talk)
        assert kit.runtime.converse(modelId=f"us.{model}", **talk)["stopReason"]
    for model in (
        "amazon.nova-lite-v1:0",
        "meta.llama3-3-70b-instruct-v1:0",
        "qwen.qwen3-32b-v1:0",
    ):
        assert kit.runtime.converse(modelId=model, **talk)["stopReason"]
    with pytest.raises(ClientError, match="on-demand"):
        kit.runtime.invoke_model(modelId=CLAUDE_MODEL, body=json.dumps(ask("x")))
    assert kit.submit(1, modelId=CLAUDE_MODEL)
    assert kit.runtime.count_tokens(modelId=CLAUDE_MODEL, input={"converse": talk})["inputTokens"]
    kit.local.set_faults({"behaviour": {"profile_only": "accept"}})
    assert kit.runtime.converse(modelId=CLAUDE_MODEL, **talk)["stopReason"]


@pytest.mark.parametrize(
    "script",
    [
        {},
        {"behaviour": {"profile_only": "accept"}},
        {"models": {"amazon.nova-pro*": {"refusal": "on_demand"}}},
    ],
    ids=["default", "accept", "rule"],
)
def test_a_model_is_described_as_it_may_be_called(kit: Kit, script: dict[str, Any]) -> None:
    """By an inference profile only if calls refuse its bare id, on demand otherwise."""
    kit.local.set_faults(script)
    listed = kit.bedrock.list_foundation_models()["modelSummaries"]
    assert len(listed) > 30
    by_profile = set()
    for model in listed:
        with pytest.raises(ClientError) as refused:
            kit.runtime.invoke_model(modelId=model["modelId"], body=b"[]")
        if "with on-demand throughput" in str(refused.value):
            by_profile.add(model["modelId"])
        one = kit.bedrock.get_foundation_model(modelIdentifier=model["modelId"])["modelDetails"]
        assert one["inferenceTypesSupported"] == model["inferenceTypesSupported"]
    types = {model["modelId"]: model["inferenceTypesSupported"] for model in listed}
    assert by_profile == {name for name, found in types.items() if found == ["INFERENCE_PROFILE"]}
    on_demand = kit.bedrock.list_foundation_models(byInferenceType="ON_DEMAND")["modelSummaries"]
    assert {model["modelId"] for model in on_demand} == types.keys() - by_profile
    assert (CLAUDE_MODEL in by_profile) == ("behaviour" not in script)
    assert ("amazon.nova-pro-v1:0" in by_profile) == ("models" in script)
