"""The earlier turns of a conversation in the bodies of the families."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.config.tools import ToolConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.families.media_blocks import MediaBlocks
from bedrock_spark.families.turns import ToolCall, Turn

TURNS = (Turn("q1", "a1"), Turn("q2", "a2"))
REQUEST = RequestConfig(prompt="q3", system="Be brief", max_tokens=9)
MESSAGES = [
    {"role": "user", "content": "q1"},
    {"role": "assistant", "content": "a1"},
    {"role": "user", "content": "q2"},
    {"role": "assistant", "content": "a2"},
]
OPENAI = [
    {"role": "system", "content": "Be brief"},
    *MESSAGES,
    {"role": "user", "content": "q3"},
]
BLOCKS = [{"role": m["role"], "content": [{"text": m["content"]}]} for m in MESSAGES]
END = "<\uff5cend\u2581of\u2581sentence\uff5c>"
BODIES: dict[str, tuple[str, Any]] = {
    "anthropic": (
        "messages",
        [*MESSAGES, {"role": "user", "content": [{"type": "text", "text": "q3"}]}],
    ),
    "nova": ("messages", [*BLOCKS, {"role": "user", "content": [{"text": "q3"}]}]),
    "converse": ("messages", [*BLOCKS, {"role": "user", "content": [{"text": "q3"}]}]),
    "gpt_oss": ("messages", OPENAI),
    "qwen": ("messages", OPENAI),
    "deepseek_v3": ("messages", OPENAI),
    "jamba": ("messages", OPENAI),
    "mistral_chat": ("messages", OPENAI),
    "cohere_command_r": (
        "chat_history",
        [
            {"role": "USER", "message": "q1"},
            {"role": "CHATBOT", "message": "a1"},
            {"role": "USER", "message": "q2"},
            {"role": "CHATBOT", "message": "a2"},
        ],
    ),
    "mistral_instruct": (
        "prompt",
        "<s>[INST] Be brief\n\nq1 [/INST] a1</s>[INST] q2 [/INST] a2</s>[INST] q3 [/INST]",
    ),
    "llama3": (
        "prompt",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nq1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nq2<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\na2<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nq3<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "llama4": (
        "prompt",
        "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief<|eot|>"
        "<|header_start|>user<|header_end|>\n\nq1<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\na1<|eot|>"
        "<|header_start|>user<|header_end|>\n\nq2<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\na2<|eot|>"
        "<|header_start|>user<|header_end|>\n\nq3<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n",
    ),
    "deepseek_r1": (
        "prompt",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>"
        f"<\uff5cUser\uff5c>q1<\uff5cAssistant\uff5c>a1{END}"
        f"<\uff5cUser\uff5c>q2<\uff5cAssistant\uff5c>a2{END}"
        "<\uff5cUser\uff5c>q3<\uff5cAssistant\uff5c><think>\n",
    ),
}


def test_every_family_that_takes_turns_is_tested() -> None:
    """A new one needs its row above."""
    assert {family.name for family in FAMILIES if family.chat_builder is not None} == set(BODIES)


@pytest.mark.parametrize("name", BODIES)
def test_turns_stand_before_the_question(name: str) -> None:
    """And after the system prompt, in the form of each family."""
    family = family_by_name(name)
    request = REQUEST.model_copy(update={"system": None}) if name == "deepseek_r1" else REQUEST
    place, expected = BODIES[name]
    body = family.build(request, "some.model", TURNS)
    assert body[place] == expected
    # Nothing else differs from the body of the question alone.
    alone = family.build(request, "some.model")
    assert {k: v for k, v in body.items() if k != place} == {
        k: v for k, v in alone.items() if k != place
    }


@pytest.mark.parametrize("name", ["titan_text", "cohere_command", "titan_embeddings"])
def test_a_family_without_turns_refuses_them(name: str) -> None:
    """With what to do instead."""
    with pytest.raises(ConfigError, match=f"family {name} take one question.*use Converse"):
        family_by_name(name).build(RequestConfig(prompt="q3"), "some.model", TURNS)


@pytest.mark.parametrize(
    ("name", "token"),
    [("llama3", "<|eot_id|>"), ("mistral_instruct", "[/INST]"), ("deepseek_r1", END)],
)
def test_a_turn_with_a_token_of_the_template_is_refused(name: str, token: str) -> None:
    """Its text could end its own turn. The message does not show the text."""
    turns = (Turn("q1", "a1"), Turn("q2", f"4711-secret {token}"))
    with pytest.raises(ConfigError, match="turn 2 of the conversation: holds") as caught:
        family_by_name(name).build(RequestConfig(prompt="q3"), "some.model", turns)
    assert "4711-secret" not in str(caught.value)


CALLS = (ToolCall("look_up", "c1", '{"id":17}'), ToolCall("now", None, ""))
CALLED = (
    Turn("q1", "I look.", CALLS, ("late", '{"at": 5}')),
    Turn("", "a2"),
    Turn("q3", " ", (ToolCall("look_up", "c2", '{"id":18}'),), ("lost",)),
)
SCHEMA = {"type": "object", "properties": {}}
WITH_TOOLS = REQUEST.model_copy(
    update={"prompt": "q4", "tools": (ToolConfig(name="look_up", input_schema=SCHEMA),)}
)
CLAUDE_PARTS = [
    {"role": "user", "content": "q1"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"id": 17}},
            {"type": "tool_use", "id": "call_1_2", "name": "now", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "late"},
            {"type": "tool_result", "tool_use_id": "call_1_2", "content": '{"at": 5}'},
        ],
    },
    {"role": "assistant", "content": "a2"},
    {"role": "user", "content": "q3"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "c2", "name": "look_up", "input": {"id": 18}}],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c2", "content": "lost"},
            {"type": "text", "text": "q4"},
        ],
    },
]


def _of_converse(block: dict[str, Any]) -> dict[str, Any]:
    """Return Claude's block as Converse has it (botocore: ToolUseBlock, ToolResultBlock)."""
    if block["type"] == "tool_use":
        use = {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
        return {"toolUse": use}
    if block["type"] == "tool_result":
        content = [{"text": block["content"]}]
        return {"toolResult": {"toolUseId": block["tool_use_id"], "content": content}}
    return {"text": block["text"]}


CONVERSE_PARTS = [
    {
        "role": message["role"],
        "content": [{"text": message["content"]}]
        if isinstance(message["content"], str)
        else [_of_converse(block) for block in message["content"]],
    }
    for message in CLAUDE_PARTS
]


def _function(call_id: str, name: str, given: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}


OPENAI_PARTS = [
    {"role": "system", "content": "Be brief"},
    {"role": "user", "content": "q1"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            _function("c1", "look_up", '{"id":17}'),
            _function("call_1_2", "now", "{}"),
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "late"},
    {"role": "tool", "tool_call_id": "call_1_2", "content": '{"at": 5}'},
    {"role": "assistant", "content": "a2"},
    {"role": "user", "content": "q3"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [_function("c2", "look_up", '{"id":18}')],
    },
    {"role": "tool", "tool_call_id": "c2", "content": "lost"},
    {"role": "user", "content": "q4"},
]
PARTS = {"anthropic": CLAUDE_PARTS, "nova": CONVERSE_PARTS, "converse": CONVERSE_PARTS}


@pytest.mark.parametrize(
    "name", [f.name for f in FAMILIES if f.put_tools is not None and f.chat_builder is not None]
)
def test_calls_of_tools_are_followed_by_their_results(name: str) -> None:
    """For every family that takes tools. A question may have nothing but results."""
    body = family_by_name(name).build(WITH_TOOLS, "some.model", CALLED)
    assert body["messages"] == PARTS.get(name, OPENAI_PARTS)
    alone = WITH_TOOLS.model_copy(update={"prompt": ""})
    only = family_by_name(name).build(alone, "some.model", CALLED)["messages"]
    assert "q4" not in str(only)
    assert only[:-1] == body["messages"][: len(only) - 1]
    assert "lost" in str(only[-1])


@pytest.mark.parametrize(
    ("name", "turns", "request_", "said"),
    [
        ("llama3", CALLED, REQUEST, "turn 1 of the conversation: has calls of tools, which models"),
        ("nova", CALLED, REQUEST, "request.tools: earlier turns have calls of tools"),
        ("nova", (Turn("q", "a", CALLS, ("x",)),), WITH_TOOLS, "turn 1.*2 calls of tools and 1"),
        (
            "converse",
            (Turn("q", "a", (ToolCall("t", "c", "[4711]"),), ("x",)),),
            WITH_TOOLS,
            "the call of the tool t is no JSON object",
        ),
        ("qwen", (Turn("q", "a", images=("i",)),), REQUEST, "turn 1.*has images or documents"),
    ],
)
def test_parts_that_cannot_be_sent_are_refused(
    name: str, turns: tuple[Turn, ...], request_: RequestConfig, said: str
) -> None:
    """With what to do; nothing of the conversation is quoted."""
    with pytest.raises(ConfigError, match=said) as raised:
        family_by_name(name).build(request_, "some.model", turns)
    assert "4711" not in str(raised.value)


@pytest.mark.parametrize("name", ["anthropic", "nova", "converse"])
def test_files_stay_in_the_question_that_had_them(name: str) -> None:
    """And documents are numbered through the conversation: their names must differ."""
    turns = (Turn("q1", "a1", images=("i1",), documents=("d1", "d2")),)
    request = REQUEST.model_copy(update={"documents": ("d3",)})
    first, _, last = family_by_name(name).build(request, "some.model", turns)["messages"]
    blocks = [message["content"][0] for message in (first, last)]
    assert all(isinstance(block, MediaBlocks) for block in blocks)
    named = [(block.images, block.documents, block.number) for block in blocks]
    assert named == [(("i1",), ("d1", "d2"), 1), ((), ("d3",), 3)]


THOUGHT = {"type": "thinking", "thinking": "hm {{", "signature": "x"}
USE = {"type": "tool_use", "id": "c2", "name": "look_up", "input": {"id": 18}}
SIGNED = (*CALLED[:-1], replace(CALLED[-1], signed=(THOUGHT, USE)))


def test_a_budget_of_thinking_needs_the_thinking_before_results() -> None:
    """Claude gets its own blocks unchanged. With other turns, and adaptively, none are needed."""
    family, thinks = family_by_name("anthropic"), "anthropic.claude-haiku-4-5-20251001-v1:0"
    request = WITH_TOOLS.model_copy(update={"thinking": ThinkingConfig(effort="low")})
    with pytest.raises(ConfigError, match="leave thinking out until the next question"):
        family.build(request, thinks, CALLED)
    body = family.build(request, thinks, SIGNED)
    assert body["thinking"]["type"] == "enabled"
    *earlier, called, results = body["messages"]
    assert called == {"role": "assistant", "content": [THOUGHT, USE]}
    without = family.build(WITH_TOOLS, thinks, CALLED)["messages"]
    assert [*earlier, results] == [*without[:-2], without[-1]]
    answered = (*CALLED, Turn("q4", "a4"))
    assert family.build(request, thinks, answered)["thinking"]["type"] == "enabled"
    adaptive = family.build(request, "anthropic.claude-opus-4-6-v1", CALLED)
    assert adaptive["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize("name", ["nova", "converse", "qwen"])
def test_blocks_of_claude_go_to_no_other_family(name: str) -> None:
    """The turn has the same calls as texts of its own, which every family writes in its form."""
    build = family_by_name(name).build
    plain = build(WITH_TOOLS, "some.model", CALLED)
    assert build(WITH_TOOLS, "some.model", SIGNED) == plain
