"""Thinking: each family's own way to ask for it, its place in the answer, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.batch.records import RecordRules, RecordWork
from bedrock_emulator.families.claude_rules import version_of
from bedrock_emulator.families.claude_thoughts import signature_of
from bedrock_emulator.families.family import Context
from bedrock_emulator.families.registry import family_of
from tests.models import CLAUDE_MODEL, SONNET_MODEL

TEXT = "Which words of this question come back in the answer?"
MESSAGES = [{"role": "user", "content": TEXT}]
BLOCKS = [{"role": "user", "content": [{"text": TEXT}]}]
ADAPTIVE = {"type": "adaptive"}
OPUS = "anthropic.claude-opus-4-8"
NOVA_2 = "amazon.nova-2-lite-v1:0"


def claude(**members: Any) -> dict[str, Any]:
    version = "bedrock-2023-05-31"
    return {"anthropic_version": version, "max_tokens": 3_000, "messages": MESSAGES, **members}


def enabled(budget: int = 2_000) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def nova(most: int | None = 500, **reasoning: Any) -> dict[str, Any]:
    limit = {} if most is None else {"maxTokens": most}
    return {"messages": BLOCKS, "inferenceConfig": {**limit, "reasoningConfig": reasoning}}


def answer(model_id: str, body: dict[str, Any], *, is_converse: bool = False) -> dict[str, Any]:
    """Return the line of the only record of a batch job."""
    family = family_of(model_id)
    assert family is not None
    context = Context(model_id, DeterministicBackend())
    work = RecordWork("job", family, context, is_converse, RecordRules((), 1))
    line: dict[str, Any] = json.loads(
        work.process(json.dumps({"recordId": "a", "modelInput": body}).encode(), 0).line
    )
    return line


def output(model_id: str, body: dict[str, Any], **how: Any) -> Any:
    line = answer(model_id, body, **how)
    assert "error" not in line, line["error"]
    return line["modelOutput"]


@pytest.mark.parametrize(
    ("model_id", "members", "is_shown"),
    [
        (CLAUDE_MODEL, enabled(), True),
        (SONNET_MODEL, enabled(), True),
        (SONNET_MODEL, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, True),
        (OPUS, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, False),
    ],
)
def test_claude_thinks_in_a_block_before_the_text(
    model_id: str, members: dict[str, Any], is_shown: bool
) -> None:
    """It is paid for as output. Newer models leave its text out."""
    found = output(model_id, claude(**members))
    thinking, text = found["content"]
    assert (thinking["type"], text["type"]) == ("thinking", "text")
    assert bool(thinking["thinking"]) == is_shown
    plain = output(model_id, claude())["usage"]["output_tokens"]
    thought = found["usage"]["output_tokens_details"]["thinking_tokens"]
    assert found["usage"]["output_tokens"] == plain + thought


def test_more_effort_takes_more_tokens() -> None:
    """In every family that takes an effort."""
    for tokens in (
        [output(OPUS, claude(thinking=ADAPTIVE, output_config={"effort": e}))["usage"] for e in _E],
        [output(NOVA_2, nova(type="enabled", maxReasoningEffort=e))["usage"] for e in _E[:2]],
    ):
        counts = [usage.get("output_tokens", usage.get("outputTokens")) for usage in tokens]
        assert counts == sorted(counts)
        assert len(set(counts)) == len(counts)


_E = ("low", "medium", "high")


def test_nova_2_thinks_and_does_not_show_it() -> None:
    """As its page says. Without the option it does not think."""
    reasoning, text = output(NOVA_2, nova(type="enabled", maxReasoningEffort="low"))["output"][
        "message"
    ]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["text"] == "[REDACTED]"
    assert text["text"]
    high = nova(None, type="enabled", maxReasoningEffort="high")
    assert len(output(NOVA_2, high)["output"]["message"]["content"]) == 2
    off = output(NOVA_2, nova(type="disabled"))
    assert len(off["output"]["message"]["content"]) == 1


@pytest.mark.parametrize(
    ("model_id", "member"),
    [
        ("deepseek.v3.2", {"reasoning_effort": "low"}),
        ("qwen.qwen3-32b-v1:0", {"reasoning_config": "low"}),
        ("xai.grok-4.7", {"reasoning_effort": "low"}),
    ],
)
def test_chats_have_their_reasoning_apart(model_id: str, member: dict[str, Any]) -> None:
    """And its tokens in the usage."""
    found = output(model_id, {"messages": MESSAGES, "max_tokens": 300, **member})
    message = found["choices"][0]["message"]
    assert message["content"]
    assert message["reasoning_content"]
    assert found["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_converse_takes_an_effort() -> None:
    """In the place that the service model has for it."""
    body = {"messages": BLOCKS, "outputConfig": {"effort": "low"}}
    found = output("xai.grok-4.7", body, is_converse=True)
    reasoning, text = found["output"]["message"]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["text"]
    assert text["text"]


def test_thinking_may_use_up_the_limit() -> None:
    """Then there is no text, and the answer says that it was cut off."""
    found = output(OPUS, claude(max_tokens=5, thinking=ADAPTIVE))
    assert [block["type"] for block in found["content"]] == ["thinking"]
    assert found["stop_reason"] == "max_tokens"
    assert found["usage"]["output_tokens"] == 5


PREFILL = [*MESSAGES, {"role": "assistant", "content": "{"}]


@pytest.mark.parametrize(
    ("model_id", "body", "message"),
    [
        (OPUS, claude(**enabled()), '"thinking.type.enabled" is not supported'),
        (OPUS, claude(thinking={"type": "disabled"}), "is not supported for this model"),
        (OPUS, claude(temperature=1), "`temperature` is deprecated for this model"),
        ("anthropic.claude-saga-7", claude(top_k=5), "`top_k` is deprecated for this model"),
        (CLAUDE_MODEL, claude(thinking=ADAPTIVE), "adaptive thinking is not supported"),
        (CLAUDE_MODEL, claude(temperature=0, top_p=1), "cannot both be specified"),
        (CLAUDE_MODEL, claude(**enabled(), temperature=0), "may only be set to 1"),
        (CLAUDE_MODEL, claude(**enabled(), top_k=5), "must be unset"),
        (CLAUDE_MODEL, claude(**enabled(), top_p=0.5), "greater than or equal to 0.95"),
        (CLAUDE_MODEL, claude(**enabled(), messages=PREFILL), "does not support assistant message"),
        (CLAUDE_MODEL, claude(**enabled(3_000)), "must be greater than `thinking.budget_tokens`"),
        (CLAUDE_MODEL, claude(**enabled(100)), "thinking.budget_tokens"),
        (SONNET_MODEL, claude(messages=PREFILL), "does not support assistant message prefill"),
        ("anthropic.claude-v2:1", claude(**enabled()), "Extra inputs are not permitted"),
        ("amazon.nova-lite-v1:0", nova(type="enabled"), "[reasoningConfig] is not permitted"),
        (NOVA_2, nova(type="enabled", maxReasoningEffort="high"), "cannot be used with high"),
        ("mistral.mistral-large-2407-v1:0", {"messages": MESSAGES, "reasoning_config": "low"}, ""),
    ],
)
def test_what_a_model_refuses_fails_its_record(
    model_id: str, body: dict[str, Any], message: str
) -> None:
    """With the words that users quote."""
    error = answer(model_id, body)["error"]
    assert error["errorCode"] == 400
    assert message in error["errorMessage"]


@pytest.mark.parametrize(
    ("model_id", "body"),
    [
        (CLAUDE_MODEL, claude(messages=PREFILL)),
        (CLAUDE_MODEL, claude(**enabled(), temperature=1, top_p=None)),
        ("anthropic.claude-sonnet-5", claude(thinking={"type": "disabled"})),
        ("anthropic.claude-3-haiku-20240307-v1:0", claude(temperature=0, top_p=1, top_k=3)),
    ],
)
def test_what_a_model_takes_is_answered(model_id: str, body: dict[str, Any]) -> None:
    """A rule of one version is not one of another."""
    assert output(model_id, body)["content"]


def test_the_version_of_a_claude_is_in_its_id() -> None:
    """A date is no version, and a model without one is new."""
    for name, version in (
        ("v2:1", (2, 0)),
        ("instant-v1", (2, 0)),
        ("3-haiku-20240307-v1:0", (3, 0)),
        ("3-5-sonnet-20241022-v2:0", (3, 5)),
        ("sonnet-4-20250514-v1:0", (4, 0)),
        ("opus-4-6-v1", (4, 6)),
        ("fable-5-1", (5, 1)),
        ("mythos-preview", (1000, 0)),
    ):
        assert version_of(f"anthropic.claude-{name}") == version
    assert version_of("amazon.nova-2-lite-v1:0") is None


CALLING = {"id": "c1", "name": "look_up", "input": {"id": 17}}
RESULTS = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature_of("hm")}
REDACTED = {"type": "redacted_thinking", "data": "eA=="}
TOLD = "Expected `thinking` or `redacted_thinking`, but found `"


@pytest.mark.parametrize(
    ("members", "blocks", "message"),
    [
        (enabled(), [THOUGHT], ""),
        (enabled(), [REDACTED, THOUGHT], ""),
        (enabled(), [], f"{TOLD}tool_use`"),
        (enabled(), [{"type": "text", "text": "x"}, THOUGHT], f"messages.1.content.0.type: {TOLD}"),
        (enabled(), [{**THOUGHT, "thinking": "ha"}], "messages.1.content.0: Invalid `signature`"),
        (enabled(), [{"type": "thinking", "thinking": "hm"}], "Invalid `signature`"),
        ({}, [], ""),
        ({}, [{**THOUGHT, "thinking": "ha"}], ""),
    ],
)
def test_claude_takes_results_after_its_own_thinking(
    members: dict[str, Any], blocks: list[dict[str, Any]], message: str
) -> None:
    """With a budget: it must be there, first and unchanged. Else nothing is asked of it."""
    called = {"role": "assistant", "content": [*blocks, {"type": "tool_use", **CALLING}]}
    tools = [{"name": "look_up", "input_schema": {"type": "object"}}]
    messages = [*MESSAGES, called, RESULTS]
    line = answer(CLAUDE_MODEL, claude(tools=tools, messages=messages, **members))
    assert message in line.get("error", {}).get("errorMessage", "")
    assert ("error" in line) is bool(message)


def test_adaptive_thinking_needs_none_before_results() -> None:
    called = {"role": "assistant", "content": [{"type": "tool_use", **CALLING}]}
    body = claude(thinking=ADAPTIVE, messages=[*MESSAGES, called, RESULTS])
    assert output(SONNET_MODEL, body)["content"]
