"""Prompt caching: tokens that are read and written, by model, mark, lifetime and prefix."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

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
    assert "cacheReadInputTokens" not in talk(kit, model, [{"text": "Be short."}])


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
