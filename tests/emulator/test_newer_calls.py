"""Calls of newer SDKs: CountTokens, guardrails, what a reply echoes, streams with tool calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bedrock_emulator.families.registry import family_of

from .kit import CLAUDE, Kit, ask, refusal

NOVA = "amazon.nova-lite-v1:0"
TEXT = "How many tokens has this question?"
TALK = {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}
MISTRAL = "mistral.mistral-large-2407-v1:0"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_counted_tokens_are_those_that_are_billed(kit: Kit) -> None:
    """In the body of InvokeModel, and in a conversation."""
    body = json.dumps(ask(TEXT)).encode()
    count = kit.runtime.count_tokens
    counted = count(modelId=CLAUDE, input={"invokeModel": {"body": body}})["inputTokens"]
    answer = json.loads(kit.runtime.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    assert counted == answer["usage"]["input_tokens"] > 3
    counted = count(modelId=NOVA, input={"converse": TALK})["inputTokens"]
    assert counted == kit.runtime.converse(modelId=NOVA, **TALK)["usage"]["inputTokens"]


def test_tokens_of_what_the_model_refuses_are_not_counted(kit: Kit) -> None:
    """A bad body, a model of vectors, and an unknown model."""
    for model, body in (
        (CLAUDE, {"max_tokens": 1}),
        ("amazon.titan-embed-text-v2:0", {"inputText": "hi"}),
        ("nobody.model", {}),
    ):
        request = {"invokeModel": {"body": json.dumps(body)}}
        assert refusal(kit.runtime.count_tokens, modelId=model, input=request) == (
            "ValidationException"
        )


GUARDRAILS = {"guardrails": {"gr1": {"blocks": "(?i)secret", "message": "Not that."}}}


def test_a_guardrail_blocks_prompts_and_answers(kit: Kit) -> None:
    """By InvokeModel, Converse and its stream; ApplyGuardrail says what it would do."""
    kit.local.set_faults(GUARDRAILS)
    kit.local.set_answers({"match": "tell", "text": "A secret answer."})
    for text, is_blocked in (("hello", False), ("the SECRET", True), ("tell me", True)):
        action = "INTERVENED" if is_blocked else "NONE"
        reply = kit.runtime.invoke_model(
            modelId=CLAUDE,
            body=json.dumps(ask(text)),
            guardrailIdentifier="gr1",
            guardrailVersion="1",
        )
        body = json.loads(reply["body"].read())
        assert body["amazon-bedrock-guardrailAction"] == action
        assert (body["content"][0]["text"] == "Not that.") == is_blocked
        talk: dict[str, Any] = {
            "modelId": NOVA,
            "messages": [{"role": "user", "content": [{"text": text}]}],
            "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT"},
        }
        answer = kit.runtime.converse(**talk)
        assert (answer["stopReason"] == "guardrail_intervened") == is_blocked
        events = list(kit.runtime.converse_stream(**talk)["stream"])
        reasons = [e["messageStop"]["stopReason"] for e in events if "messageStop" in e]
        assert reasons == [answer["stopReason"]]
    apply = {"guardrailIdentifier": "gr1", "guardrailVersion": "1", "source": "INPUT"}
    for text, action in (("a secret", "GUARDRAIL_INTERVENED"), ("hello", "NONE")):
        applied = kit.runtime.apply_guardrail(**apply, content=[{"text": {"text": text}}])
        assert applied["action"] == action
        assert [o["text"] for o in applied["outputs"]] == ["Not that."] * (action != "NONE")
    kit.local.set_answers()


def test_a_guardrail_that_does_not_exist_is_refused(kit: Kit) -> None:
    """An unknown id, and an unknown version."""
    kit.local.set_faults(GUARDRAILS)
    for identifier, version in (("gr2", "1"), ("gr1", "7")):
        config = {"guardrailIdentifier": identifier, "guardrailVersion": version}
        with pytest.raises(ClientError, match="does not exist"):
            kit.runtime.converse(modelId=NOVA, guardrailConfig=config, **TALK)
        with pytest.raises(ClientError, match="does not exist"):
            kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask("hi")), **config)
        with pytest.raises(ClientError, match="does not exist"):
            kit.runtime.apply_guardrail(
                **config, source="OUTPUT", content=[{"text": {"text": "x"}}]
            )


def test_converse_echoes_how_it_was_served(kit: Kit) -> None:
    """The tier and the latency that the call asked for."""
    served = {"serviceTier": {"type": "priority"}, "performanceConfig": {"latency": "optimized"}}
    reply = kit.runtime.converse(modelId=NOVA, **TALK, **served)
    assert {name: reply[name] for name in served} == served


@pytest.mark.parametrize("version", ["bedrock-2023-05-31", "2026-10-21"])
def test_versions_of_anthropics_sdks(kit: Kit, version: str) -> None:
    """The newest ones send a date. Anything else is refused."""
    body = {**ask("hi"), "anthropic_version": version}
    reply = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    assert json.loads(reply["body"].read())["role"] == "assistant"
    wrong = json.dumps({**body, "anthropic_version": "2"})
    assert refusal(kit.runtime.invoke_model, modelId=CLAUDE, body=wrong) == "ValidationException"


def test_the_stream_of_nova_carries_tool_calls(kit: Kit) -> None:
    """Its events are those of ConverseStream."""
    spec = {"name": "get_weather", "inputSchema": {"json": WEATHER}}
    body = {
        "messages": [{"role": "user", "content": [{"text": "The weather in Rome?"}]}],
        "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"any": {}}},
    }
    reply = kit.runtime.invoke_model_with_response_stream(modelId=NOVA, body=json.dumps(body))
    events = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
    starts = [e["contentBlockStart"]["start"] for e in events if "contentBlockStart" in e]
    assert [start["toolUse"]["name"] for start in starts] == ["get_weather"]
    pieces = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert set(json.loads("".join(p["toolUse"]["input"] for p in pieces))) == {"city"}


def test_mistral_must_call_any_tool(kit: Kit) -> None:
    """`any`, as Mistral's own API and AWS's page have it."""
    function = {"name": "get_weather", "description": "", "parameters": WEATHER}
    body = {
        "messages": [{"role": "user", "content": "The weather in Rome?"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "any",
    }
    reply = kit.runtime.invoke_model(modelId=MISTRAL, body=json.dumps(body))
    (choice,) = json.loads(reply["body"].read())["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


def test_batch_quotas_are_those_of_the_script(kit: Kit) -> None:
    """By Service Quotas, a list and one by one. The calls have faults like any other."""
    kit.local.set_faults({"quotas": {"active_jobs": 7, "min_records": 3}})
    quotas = kit.local.client("service-quotas", config=Config(retries={"total_max_attempts": 1}))
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    by_name = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    jobs = next(q for name, q in by_name.items() if name.startswith("Sum of in-progress"))
    fewest = next(q for name, q in by_name.items() if name.startswith("Minimum number"))
    assert (jobs["Value"], fewest["Value"]) == (7.0, 3.0)
    one = quotas.get_service_quota(ServiceCode="bedrock", QuotaCode=jobs["QuotaCode"])["Quota"]
    assert one == jobs
    unknown = {"ServiceCode": "bedrock", "QuotaCode": "L-0"}
    assert refusal(quotas.get_service_quota, **unknown) == "NoSuchResourceException"
    kit.local.set_faults({"operations": {"ListServiceQuotas": {"error_rate": 1.0}}})
    assert refusal(quotas.list_service_quotas, ServiceCode="bedrock")


NEWER = {"google", "minimax", "moonshotai", "nvidia", "writer", "xai", "zai", "openai", "qwen"}


def test_every_listed_chat_model_answers_converse(kit: Kit) -> None:
    """Of the newer providers, too, by the id that the list says is served."""
    talk: Any = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    asked = set()
    for model in kit.bedrock.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]:
        needs_profile = model["inferenceTypesSupported"] == ["INFERENCE_PROFILE"]
        model_id = f"us.{model['modelId']}" if needs_profile else model["modelId"]
        family = family_of(model["modelId"])
        assert family is not None
        if not family.has_converse:
            continue
        content = kit.runtime.converse(modelId=model_id, **talk)["output"]["message"]["content"]
        assert content[-1]["text"], model_id
        asked.add(model["modelId"].split(".")[0])
    assert asked > NEWER
