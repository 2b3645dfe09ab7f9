"""Prompt caching: tokens that are read and written, by model, mark, lifetime and prefix."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from urllib3.exceptions import ProtocolError

from .kit import CLAUDE, CLAUDE_MODEL, Kit, ask

NOVA = "amazon.nova-lite-v1:0"
LEAST = {CLAUDE: 4096, NOVA: 1000}
POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}


def words(count: int, word: str = "word") -> str:
    """Return a text of `count` tokens."""
    return " ".join([word] * count)


def talk(kit: Kit, model: str, system: list[Any], *blocks: Any, **more: Any) -> dict[str, int]:
    """Return the usage of a Converse call."""
    content = [*blocks, {"text": "Hello"}]
    usage: dict[str, int] = kit.runtime.converse(
        modelId=model, system=system, messages=[{"role": "user", "content": content}], **more
    )["usage"]
    return usage


def cached(usage: dict[str, int]) -> tuple[int, int, int]:
    """Return the tokens that were read, written and neither."""
    return (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"], usage["inputTokens"])


@pytest.mark.parametrize("model", LEAST)
def test_a_prefix_is_written_once_and_then_read(kit: Kit, model: str) -> None:
    """By Converse and by its stream. A prefix that is too short costs what it always does."""
    least = LEAST[model]
    system = [{"text": words(least, f"w{model[0]}")}, POINT]
    first = talk(kit, model, system)
    assert cached(first) == (0, least, 1)
    assert first["totalTokens"] == least + 1 + first["outputTokens"]
    assert cached(talk(kit, model, system)) == (least, 0, 1)
    messages = [{"role": "user", "content": [{"text": "Another question"}]}]
    stream = kit.runtime.converse_stream(modelId=model, system=system, messages=messages)["stream"]
    (usage,) = (event["metadata"]["usage"] for event in stream if "metadata" in event)
    assert cached(usage)[:2] == (least, 0)
    short = [{"text": words(least - 1)}, POINT]
    for _ in range(2):
        assert cached(talk(kit, model, short)) == (0, 0, least)
    assert cached(talk(kit, model, [{"text": "Be short."}]))[:2] == (0, 0)
    assert "cacheReadInputTokens" not in talk(kit, "qwen.qwen3-32b-v1:0", [{"text": "Be short."}])


def test_a_prefix_lives_for_five_minutes_or_an_hour_after_its_last_use(kit: Kit) -> None:
    """On the emulator's clock. Each use begins the time again."""
    for ttl, seconds in (("5m", 300), ("1h", 3600)):
        system = [{"text": words(5000, ttl)}, {"cachePoint": {"type": "default", "ttl": ttl}}]
        tokens = cached(talk(kit, CLAUDE, system))[1]
        for _ in range(2):
            kit.local.advance_clock(seconds - 10)
            assert cached(talk(kit, CLAUDE, system))[:2] == (tokens, 0)
        kit.local.advance_clock(seconds + 10)
        assert cached(talk(kit, CLAUDE, system))[:2] == (0, tokens)


def test_a_growing_conversation_reads_what_it_had(kit: Kit) -> None:
    """Claude finds the prefix of the turn before, without a mark at its end."""
    turns: list[Any] = [{"role": "user", "content": [{"text": words(5000, "grow")}, POINT]}]
    first = kit.runtime.converse(modelId=CLAUDE, messages=turns)["usage"]
    assert cached(first)[1] == 5000
    turns = [
        {"role": "user", "content": [{"text": words(5000, "grow")}]},
        {"role": "assistant", "content": [{"text": "Yes"}]},
        {"role": "user", "content": [{"text": words(50)}, POINT]},
    ]
    read, written, rest = cached(kit.runtime.converse(modelId=CLAUDE, messages=turns)["usage"])
    assert read == 5000
    assert 51 <= written < 100
    assert rest == 0


def test_claudes_own_body(kit: Kit) -> None:
    """`cache_control` at tools, system prompt and messages; a lifetime for each."""
    hour = {"type": "ephemeral", "ttl": "1h"}
    body = ask(
        "Hello",
        system=[
            {"type": "text", "text": words(5000, "own"), "cache_control": hour},
            {"type": "text", "text": words(100, "more"), "cache_control": {"type": "ephemeral"}},
        ],
    )
    usages = []
    for _ in range(2):
        reply = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
        usages.append(json.loads(reply["body"].read())["usage"])
    assert usages[0]["cache_creation_input_tokens"] == 5100
    assert usages[0]["cache_read_input_tokens"] == 0
    assert usages[0]["cache_creation"] == {
        "ephemeral_5m_input_tokens": 100,
        "ephemeral_1h_input_tokens": 5000,
    }
    assert (usages[1]["cache_read_input_tokens"], usages[1]["input_tokens"]) == (5100, 1)
    reply = kit.runtime.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(body))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["cacheReadInputTokenCount"] == 5100
    nova = {
        "system": [{"text": words(1000, "nat")}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}, POINT]}],
    }
    reply = kit.runtime.invoke_model(modelId=NOVA, body=json.dumps(nova))
    assert json.loads(reply["body"].read())["usage"]["cacheWriteInputTokenCount"] > 1000


KINDS = ("input", "cache_read_input", "cache_write_5m_input", "cache_write_1h_input")


def billed(kit: Kit) -> list[int]:
    """Return the input tokens of the bill by their kind."""
    totals = kit.local.usage()["totals"]
    return [totals[f"invocation_{kind}_tokens"] for kind in KINDS]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("is_converse", [False, True], ids=["InvokeModel", "Converse"])
def test_the_bill_has_the_tokens_of_the_cache(kit: Kit, is_stream: bool, is_converse: bool) -> None:
    """By kind, as the answer has them: each kind has a price of its own."""
    text, before, used = words(5000, f"b{is_stream:d}{is_converse:d}"), billed(kit), [0] * 4
    client = kit.runtime
    for _ in range(2):
        if is_converse:
            mark: dict[str, Any] = {"cachePoint": {"type": "default", "ttl": "1h"}}
            messages: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
            call = client.converse_stream if is_stream else client.converse
            reply = call(modelId=CLAUDE, system=[{"text": text}, mark], messages=messages)
            if is_stream:
                (reply,) = (event["metadata"] for event in reply["stream"] if "metadata" in event)
            read, written, rest = cached(reply["usage"])
            details = [{"ttl": "1h", "inputTokens": written}] if written else []
            assert reply["usage"]["cacheDetails"] == details
            found = [rest, read, 0, written]
        else:
            part = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
            body = json.dumps(ask("Hello", system=[part]))
            name = "invoke_model_with_response_stream" if is_stream else "invoke_model"
            answer = getattr(client, name)(modelId=CLAUDE, body=body)["body"]
            if is_stream:
                chunks = [json.loads(event["chunk"]["bytes"]) for event in answer]
                begun, usage = chunks[0]["message"]["usage"], chunks[-2]["usage"]
                assert {**begun, "output_tokens": usage["output_tokens"]} == usage
            else:
                usage = json.loads(answer.read())["usage"]
            names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
            found = [*(usage[name] for name in names), 0]
        used = [a + b for a, b in zip(used, found, strict=True)]
    assert [b - a for a, b in zip(before, billed(kit), strict=True)] == used
    assert sorted(used) == [0, 2, 5000, 5000]


def test_a_stream_that_breaks_is_billed_with_what_it_had_from_the_cache(kit: Kit) -> None:
    """The prefix was written when the answer began."""
    kit.local.set_faults({"operations": {"ConverseStream": {"stream_drop_rate": 1}}})
    system = [{"text": words(5000, "broken")}, POINT]
    before = billed(kit)
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    stream = kit.runtime.converse_stream(modelId=CLAUDE, system=system, messages=messages)
    with pytest.raises(ProtocolError):
        list(stream["stream"])
    kit.local.set_faults({})
    assert cached(talk(kit, CLAUDE, system)) == (5000, 0, 1)
    assert [b - a for a, b in zip(before, billed(kit), strict=True)] == [2, 5000, 5000, 0]


def test_headers_have_the_tokens_of_the_cache(kit: Kit) -> None:
    """For models that have a prompt cache, also if the request marks nothing."""
    names = ("read", "write")
    part = {"type": "text", "text": words(4100, "head"), "cache_control": {"type": "ephemeral"}}
    found = []
    for model, body in (
        (CLAUDE, ask("Hello", system=[part])),
        (CLAUDE, ask("Hello", system=[part])),
        (CLAUDE, ask("Hello")),
        ("qwen.qwen3-32b-v1:0", {"messages": [{"role": "user", "content": "Hello"}]}),
    ):
        reply = kit.runtime.invoke_model(modelId=model, body=json.dumps(body))
        headers = reply["ResponseMetadata"]["HTTPHeaders"]
        found.append([headers.get(f"x-amzn-bedrock-cache-{n}-input-token-count") for n in names])
    assert found == [["0", "4100"], ["4100", "0"], ["0", "0"], [None, None]]


def test_what_is_read_from_the_cache_is_not_counted_against_the_quota(kit: Kit) -> None:
    """What is written is. A call reserves both until it ends."""
    kit.local.set_faults({"quotas": {"tokens_per_minute": 12_000}})
    kit.local.advance_clock(61)
    system, limit = [{"text": words(5000, "quota")}, POINT], {"maxTokens": 10}
    for _ in range(20):
        talk(kit, CLAUDE, system, inferenceConfig=limit)
    talk(kit, CLAUDE, [{"text": words(5000, "quota2")}, POINT], inferenceConfig=limit)
    with pytest.raises(ClientError, match="Too many tokens"):
        talk(kit, CLAUDE, [{"text": words(5000, "quota3")}, POINT], inferenceConfig=limit)
    kit.local.advance_clock(61)


def test_marks_that_the_service_refuses(kit: Kit) -> None:
    """A model without caching, a fifth mark, and Nova's tools."""
    spec = {"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("qwen.qwen3-32b-v1:0", {}, "AccessDeniedException.*did not allow prompt caching"),
        (CLAUDE, {"system": [{"text": "a"}, POINT] * 5}, "A maximum of 4 blocks .* Found 6"),
        (NOVA, {"toolConfig": {"tools": [spec, POINT]}}, "tools/1: extraneous key .cachePoint."),
    ]
    for model, more, message in refusals:
        messages = [{"role": "user", "content": [{"text": "Hello"}, POINT]}]
        with pytest.raises(ClientError, match=message):
            kit.runtime.converse(modelId=model, messages=messages, **more)


def test_no_prefix_is_shared_by_models_or_regions(kit: Kit) -> None:
    """Each model reads what it has written itself, in one Region."""
    system = [{"text": words(5000, "apart")}, POINT]
    everywhere = f"global.{CLAUDE_MODEL}"
    assert cached(talk(kit, everywhere, system))[1] == 5000
    assert cached(talk(kit, NOVA, system))[1] == 5000
    elsewhere = kit.local.client("bedrock-runtime", region_name="eu-west-1")
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    usage = elsewhere.converse(modelId=everywhere, system=system, messages=messages)["usage"]
    assert usage["cacheWriteInputTokens"] == 5000
