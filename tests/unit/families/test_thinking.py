"""`request.thinking`: one form in the config, each family's own form in the body."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.config import Config, parse_config
from bedrock_spark.config.thinking import ThinkingConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.families.check_request import request_faults
from tests.unit.fakes import config_values, make_config

OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"
BUDGET = {"budget_tokens": 2_000}
ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
DISABLED = {"thinking": {"type": "disabled"}}


def adaptive(effort: str) -> dict[str, Any]:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def config_of(model: str, thinking: Any, **more: Any) -> Config:
    request = {"prompt": "{{ a }}", "max_tokens": 20_000, "thinking": thinking}
    return make_config(model={"id": model, **more}, request=request)


def built(config: Config) -> dict[str, Any]:
    return family_of(config).build(config.request, bare_model_id(config.model.id))


# Model, thinking, the members that it adds to the body.
BODIES: list[tuple[str, Any, dict[str, Any]]] = [
    ("anthropic.claude-3-7-sonnet-20250219-v1:0", BUDGET, ENABLED),
    ("anthropic.claude-3-7-sonnet-20250219-v1:0", "off", {}),
    (
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "low",
        {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
    ),
    (
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "high",
        {"thinking": {"type": "enabled", "budget_tokens": 16_384}},
    ),
    ("anthropic.claude-sonnet-4-6", "medium", adaptive("medium")),
    ("anthropic.claude-sonnet-4-6", BUDGET, ENABLED),
    ("anthropic.claude-opus-4-7", "high", adaptive("high")),
    ("anthropic.claude-opus-4-7", "off", {}),
    ("global.anthropic.claude-opus-5", "off", DISABLED),
    ("anthropic.claude-haiku-5-5", "off", DISABLED),
    ("anthropic.claude-fable-5-1", "low", adaptive("low")),
    (
        "us.amazon.nova-2-lite-v1:0",
        "medium",
        {
            "inferenceConfig": {
                "maxTokens": 20_000,
                "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"},
            }
        },
    ),
    ("us.amazon.nova-2-lite-v1:0", "off", {}),
    ("openai.gpt-oss-120b-1:0", "low", {"reasoning_effort": "low"}),
    ("qwen.qwen3-32b-v1:0", "high", {"reasoning_config": "high"}),
    ("qwen.qwen3-32b-v1:0", "off", {}),
    ("qwen.qwen3-coder-30b-a3b-v1:0", "off", {}),
    ("deepseek.v3.2", "high", {"reasoning_effort": "high"}),
    ("deepseek.v3.2", "off", {}),
    ("us.xai.grok-4.7", "low", {"outputConfig": {"effort": "low"}}),
    ("openai.gpt-6-sol", "high", {"outputConfig": {"effort": "high"}}),
]
REFUSED: list[tuple[str, Any, str]] = [
    ("anthropic.claude-3-haiku-20240307-v1:0", "low", "does not think; leave it out"),
    ("anthropic.claude-opus-4-7", BUDGET, "takes no budget_tokens; write an effort"),
    ("anthropic.claude-opus-5", BUDGET, "takes no budget_tokens; write an effort"),
    ("anthropic.claude-opus-5-5", "off", "always thinks; leave it out, or write low"),
    ("anthropic.claude-mythos-preview", "off", "always thinks"),
    ("amazon.nova-lite-v1:0", "low", "only Nova 2 does"),
    ("amazon.nova-2-lite-v1:0", BUDGET, "takes no budget_tokens"),
    ("openai.gpt-oss-20b-1:0", "off", "always thinks"),
    ("openai.gpt-oss-20b-1:0", BUDGET, "takes no budget_tokens"),
    ("qwen.qwen3-235b-a22b-2507-v1:0", "low", "does not think"),
    ("deepseek.v3-v1:0", BUDGET, "takes no budget_tokens"),
    ("deepseek.r1-v1:0", "low", "models of the family deepseek_r1 do not take it"),
    ("meta.llama3-3-70b-instruct-v1:0", "off", "models of the family llama3 do not take it"),
    ("us.xai.grok-4.7", "off", "Converse takes an effort only"),
    ("us.xai.grok-4.7", BUDGET, "Converse takes an effort only"),
]


@pytest.mark.parametrize(("model", "thinking", "members"), BODIES)
def test_thinking_becomes_the_members_of_the_model(
    model: str, thinking: Any, members: dict[str, Any]
) -> None:
    """And nothing else of the body changes. The linter knows no fault in it."""
    config = config_of(model, thinking)
    assert built(config) == {**built(config_of(model, None)), **members}
    assert request_faults(config, has_templates=True) == []


@pytest.mark.parametrize(("model", "thinking", "message"), REFUSED)
def test_what_a_model_does_not_take_is_refused_with_what_to_do(
    model: str, thinking: Any, message: str
) -> None:
    """Before anything is written, once, by the user's key."""
    (problem,) = request_faults(config_of(model, thinking), has_templates=True)
    assert problem.text.startswith("request.thinking: ")
    assert message in problem.text


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-sonnet-4-6",
        "us.amazon.nova-2-lite-v1:0",
        "openai.gpt-oss-120b-1:0",
        "qwen.qwen3-32b-v1:0",
    ],
)
def test_with_converse_the_models_own_body_is_advised(model: str) -> None:
    """Batch inference refuses the members that Converse would need for these models."""
    config = config_of(model, "low", invocation="converse")
    (problem,) = request_faults(config, has_templates=True)
    assert "leave out invocation: converse" in problem.text


@pytest.mark.parametrize(
    ("thinking", "members"),
    [("low", adaptive("low")), (BUDGET, ENABLED), ("off", DISABLED)],
)
def test_a_model_that_is_not_known_is_sent_what_was_asked(
    thinking: Any, members: dict[str, Any]
) -> None:
    """The ARN of an application inference profile does not show the version: it may be any."""
    config = config_of(OPAQUE, thinking, family="anthropic")
    assert built(config) == {**built(config_of(OPAQUE, None, family="anthropic")), **members}


@pytest.mark.parametrize("model", ["anthropic.claude-sonnet-4-5-20250929-v1:0"])
@pytest.mark.parametrize(
    ("thinking", "most"), [({"budget_tokens": 4_000}, 4_000), ("medium", 4_096), ("low", 1_000)]
)
def test_max_tokens_must_leave_room_for_the_answer(model: str, thinking: Any, most: int) -> None:
    """The budget is a part of max_tokens. Both keys are named, with the numbers."""
    request = {"prompt": "{{ a }}", "max_tokens": most, "thinking": thinking}
    config = make_config(model={"id": model}, request=request)
    (problem,) = request_faults(config, has_templates=True)
    assert problem.text.startswith("request.thinking, request.max_tokens: thinking may take ")
    assert f"which is {most:,}; set max_tokens to more than" in problem.text


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "temperature", 0),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "top_p", 0.9),
        ("anthropic.claude-sonnet-4-6", "top_k", 5),
        ("amazon.nova-2-lite-v1:0", "temperature", 0),
        ("amazon.nova-2-lite-v1:0", "max_tokens", 500),
    ],
)
def test_options_that_thinking_forbids_are_named(model: str, option: str, value: float) -> None:
    """By the keys of the config. For Nova 2 only with high effort."""
    ceiling = {"max_tokens": 30_000} if model.startswith("anthropic.") else {}
    request = {"prompt": "{{ a }}", **ceiling, "thinking": "high", option: value}
    config = make_config(model={"id": model}, request=request)
    (problem,) = request_faults(config, has_templates=True)
    assert problem.text.startswith(f"request.{option}: cannot be used ")
    less = {**request, "thinking": "low" if model.startswith("amazon.") else None}
    assert request_faults(make_config(model={"id": model}, request=less), has_templates=True) == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (False, ThinkingConfig(effort="off")),
        ({"effort": False}, ThinkingConfig(effort="off")),
        *((word, ThinkingConfig(effort=word)) for word in ("off", "low", "medium", "high")),
        ({"effort": "low"}, ThinkingConfig(effort="low")),
        (BUDGET, ThinkingConfig(budget_tokens=2_000)),
    ],
)
def test_the_forms_of_a_config(written: Any, value: Any) -> None:
    """YAML reads the word off as false. A config that was written comes back the same."""
    values = config_values(request={"prompt": "{{ a }}", "max_tokens": 9, "thinking": written})
    config = parse_config(values)
    assert config.request.thinking == value
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("max", "request.thinking.effort: must be 'off', 'low', 'medium' or 'high'"),
        ({"budget_tokens": 5}, "request.thinking.budget_tokens: must be greater than or equal to"),
        ({"budget": 5000}, "request.thinking.budget: unknown key; did you mean budget_tokens?"),
        ({}, "request.thinking: needs one of effort and budget_tokens"),
        ({**BUDGET, "effort": "low"}, "request.thinking: needs one of effort and budget_tokens"),
        (True, "request.thinking: "),
    ],
)
def test_another_form_is_a_problem_of_the_config(written: Any, message: str) -> None:
    """With the forms that there are."""
    values = config_values(request={"prompt": "{{ a }}", "max_tokens": 9, "thinking": written})
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    assert message in str(caught.value)


def test_thinking_goes_with_a_prompt() -> None:
    """A body that is written by hand has its own."""
    values = config_values(request={"body": {"a": "{{ a }}"}, "thinking": "low"})
    with pytest.raises(ConfigError, match="thinking go with prompt; with body, write them into"):
        parse_config(values)
