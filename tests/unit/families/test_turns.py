"""The earlier turns of a conversation in the bodies of the families."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.families.turns import Turn

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
