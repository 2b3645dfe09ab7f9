"""The linter: each rule finds its fault, names the place and what to do, and finds nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import anthropic
from bedrock_spark.families.check_request import request_faults
from bedrock_spark.families.lint import RenderedLint, lint
from bedrock_spark.families.lint_rules import RULES
from bedrock_spark.families.request_body import body_template
from tests.unit.fakes import CLAUDE, CLAUDE_MODEL, make_config

HAIKU_45 = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
GOOD: dict[str, Any] = {
    "anthropic_version": anthropic.VERSION,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "{{ a }}"}],
}
CONVERSE: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "{{ a }}"}]}]}


def config_of(body: dict[str, Any], model: str = CLAUDE, **sections: Any) -> Config:
    return make_config(request={"body": body}, model={"id": model}, **sections)


def converse_of(body: dict[str, Any], model: str = CLAUDE) -> Config:
    return make_config(request={"body": body}, model={"id": model, "invocation": "converse"})


def body_with(text: Any) -> dict[str, Any]:
    return {**GOOD, "messages": [{"role": "user", "content": text}]}


def config_with(media: dict[str, Any], model: str, **more: Any) -> Config:
    request = {"prompt": "{{ a }}", "max_tokens": 9, **media}
    return make_config(request=request, model={"id": model, **more})


def with_block(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block, {"text": "{{ a }}"}]}]}


def with_thinking(**thinking: Any) -> dict[str, Any]:
    return {**GOOD, "max_tokens": 8_000, "thinking": thinking}


TURNS = [*GOOD["messages"], {"role": "assistant", "content": "{"}]
PREFILLED = {**GOOD, "messages": TURNS}
FORCED = {"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}}
HIGH = {"type": "enabled", "maxReasoningEffort": "high"}
IMAGE_URL = {"type": "image_url", "image_url": {"url": "{{ b }}"}}

# Rule, config, key paths, start of the message.
FAULTS: list[tuple[str, Config, str, str]] = [
    ("model-id", config_of({**GOOD, "modelId": CLAUDE}), "request.body.modelId", "the model is"),
    ("model-id", converse_of({**CONVERSE, "modelId": "x"}), "request.body.modelId", "the model is"),
    (
        "tools",
        converse_of({**CONVERSE, "toolConfig": {"tools": [{}]}}),
        "request.body.toolConfig",
        "batch inference refuses tools",
    ),
    (
        "anthropic-version",
        config_of({"max_tokens": 9, "messages": GOOD["messages"]}),
        "request.body.anthropic_version",
        f"is missing; set it to {anthropic.VERSION}",
    ),
    (
        "anthropic-version",
        config_of({**GOOD, "anthropic_version": "2023-06-01"}, f"eu.{CLAUDE_MODEL}"),
        "request.body.anthropic_version",
        "is not the version that Bedrock takes",
    ),
    (
        "samplers",
        config_of({**GOOD, "temperature": 0, "top_p": 0.5}, HAIKU_45),
        "request.body.temperature, request.body.top_p",
        "this model takes one of",
    ),
    (
        "samplers",
        make_config(
            request={"prompt": "{{ a }}", "max_tokens": 9, "temperature": 0, "top_p": 0.5},
            model={"id": HAIKU_45, "invocation": "converse"},
        ),
        "request.temperature, request.top_p",
        "this model takes one of",
    ),
    (
        "samplers",
        config_of({**GOOD, "temperature": 1}, "global.anthropic.claude-opus-4-8"),
        "request.body.temperature",
        "this model takes none of",
    ),
    (
        "samplers",
        config_of({**GOOD, "top_k": 5}, "us.anthropic.claude-mythos-5-1"),
        "request.body.top_k",
        "this model takes none of",
    ),
    (
        "samplers",
        config_of({**GOOD, "top_p": 1}, "anthropic.claude-mythos-preview"),
        "request.body.top_p",
        "this model takes none of",
    ),
    (
        "thinking-kind",
        config_of(with_thinking(type="enabled", budget_tokens=2_000), "anthropic.claude-opus-4-7"),
        "request.body.thinking.type",
        "this model takes no budget",
    ),
    (
        "thinking-kind",
        config_of(with_thinking(type="adaptive"), HAIKU_45),
        "request.body.thinking.type",
        "this model takes a budget only",
    ),
    (
        "thinking-kind",
        config_of(with_thinking(type="disabled"), "anthropic.claude-fable-5"),
        "request.body.thinking.type",
        "this model refuses it",
    ),
    (
        "thinking-kind",
        config_of(with_thinking(type="enabled", budget_tokens=2_000), "anthropic.claude-v2:1"),
        "request.body.thinking",
        "this model does not think",
    ),
    (
        "thinking-budget",
        config_of(with_thinking(type="enabled", budget_tokens=500), HAIKU_45),
        "request.body.thinking.budget_tokens",
        "is less than 1,024",
    ),
    (
        "thinking-budget",
        config_of(with_thinking(type="enabled", budget_tokens=9_000), HAIKU_45),
        "request.body.thinking.budget_tokens, request.body.max_tokens",
        "thinking may take 9,000 tokens",
    ),
    (
        "thinking-samplers",
        config_of(
            {**with_thinking(type="enabled", budget_tokens=2_000), "temperature": 0}, HAIKU_45
        ),
        "request.body.temperature",
        "cannot be used while the model thinks",
    ),
    (
        "thinking-samplers",
        config_of(
            {**CONVERSE, "inferenceConfig": {"reasoningConfig": HIGH, "topP": 1}},
            "us.amazon.nova-2-lite-v1:0",
        ),
        "request.body.inferenceConfig.topP",
        "cannot be used with high effort",
    ),
    (
        "forced-tool",
        config_of({**GOOD, **FORCED}, "anthropic.claude-sonnet-5-5"),
        "request.body.tool_choice",
        "this model always thinks",
    ),
    (
        "prefill",
        config_of(PREFILLED, "anthropic.claude-sonnet-4-6"),
        "request.body.messages[1].role",
        "this model refuses to go on",
    ),
    (
        "prefill",
        converse_of(
            {
                "messages": [
                    *CONVERSE["messages"],
                    {"role": "assistant", "content": [{"text": "{"}]},
                ]
            },
            "us.anthropic.claude-saga-6",
        ),
        "request.body.messages[1].role",
        "this model refuses to go on",
    ),
    (
        "prefill",
        config_of(
            {**with_thinking(type="enabled", budget_tokens=2_000), "messages": TURNS}, HAIKU_45
        ),
        "request.body.messages[1].role",
        "this model refuses to go on",
    ),
    (
        "prefill",
        config_of({**PREFILLED, "output_config": {"format": {"type": "json_schema"}}}, HAIKU_45),
        "request.body.messages[1].role",
        "this model refuses to go on",
    ),
    (
        "caching",
        config_of({**body_with([{"type": "text", "text": "a", "cache_control": {"type": "e"}}])}),
        "request.body.messages[0].content[0].cache_control",
        "batch inference refuses prompt caching",
    ),
    (
        "caching",
        converse_of({**CONVERSE, "system": [{"text": "a"}, {"cachePoint": {"type": "default"}}]}),
        "request.body.system[1].cachePoint",
        "batch inference refuses prompt caching",
    ),
    (
        "empty-text",
        config_of(body_with([{"type": "text", "text": " \n"}])),
        "request.body.messages[0].content[0].text",
        "is empty text",
    ),
    ("empty-text", config_of(body_with("")), "request.body.messages[0].content", "is empty text"),
    (
        "empty-text",
        config_of({"texts": ["{{ a }}", ""], "input_type": "clustering"}, "cohere.embed-v4:0"),
        "request.body.texts[1]",
        "is empty text",
    ),
    (
        "empty-text",
        config_of({"prompt": "", "n": "{{ a }}"}, "stability.sd3-5-large-v1:0"),
        "request.body.prompt",
        "is empty text",
    ),
    (
        "max-tokens",
        make_config(
            request={"prompt": "{{ a }}", "max_tokens": 10_001},
            model={"id": "amazon.nova-micro-v1:0"},
        ),
        "request.max_tokens",
        "is more than the 10,000 tokens",
    ),
    (
        "max-tokens",
        config_of({"prompt": "{{ a }}", "max_gen_len": 8_193}, "us.meta.llama4-scout-17b-x"),
        "request.body.max_gen_len",
        "is more than the 8,192 tokens",
    ),
    (
        "dimensions",
        make_config(
            request={"prompt": "{{ a }}", "dimensions": 300},
            model={"id": "amazon.titan-embed-text-v2:0"},
        ),
        "request.dimensions",
        "this model's vectors have 256, 512, 1024 numbers",
    ),
    (
        "dimensions",
        make_config(
            request={"prompt": "{{ a }}", "dimensions": 256},
            model={"id": "amazon.titan-embed-g1-text-02"},
        ),
        "request.dimensions",
        "the vectors of this model have one length only; remove it",
    ),
    (
        "dimensions",
        config_of(
            {"texts": ["{{ a }}"], "input_type": "clustering", "output_dimension": 256},
            "us.cohere.embed-multilingual-v3",
        ),
        "request.body.output_dimension",
        "the vectors of this model have one length only",
    ),
    (
        "thinking",
        converse_of({**CONVERSE, "additionalModelRequestFields": {"thinking": {}}}),
        "request.body.additionalModelRequestFields.thinking",
        "batch inference refuses it",
    ),
    ("stream", config_of({**GOOD, "stream": True}), "request.body.stream", "a batch job does not"),
    (
        "text-only",
        config_with({"images": "photo", "documents": "paper"}, "us.amazon.nova-micro-v1:0"),
        "request.images, request.documents",
        "this model takes text only",
    ),
    (
        "text-only",
        converse_of(with_block({"image": {"format": "png"}}), "amazon.nova-micro-v1:0"),
        "request.body.messages[0].content[0].image",
        "this model takes text only",
    ),
    (
        "documents",
        config_with({"documents": "paper"}, "amazon.nova-lite-v1:0"),
        "request.documents",
        "Nova takes documents through Converse only",
    ),
    (
        "documents",
        config_of(with_block({"document": {"format": "pdf"}}), "amazon.nova-pro-v1:0"),
        "request.body.messages[0].content[0].document",
        "Nova takes documents through Converse only",
    ),
    (
        "temperature",
        config_of({**GOOD, "temperature": 1.1}),
        "request.body.temperature",
        "must be a number from 0 to 1",
    ),
    (
        "temperature",
        make_config(
            request={"prompt": "{{ a }}", "temperature": 1.5}, model={"id": "amazon.nova-pro-v1:0"}
        ),
        "request.temperature",
        "must be a number from 0 to 1",
    ),
    (
        "temperature",
        make_config(
            request={"prompt": "{{ a }}", "temperature": 1.5},
            model={"id": "amazon.titan-text-express-v1"},
        ),
        "request.temperature",
        "must be a number from 0 to 1",
    ),
    (
        "temperature",
        converse_of({**CONVERSE, "inferenceConfig": {"temperature": "0.5"}}),
        "request.body.inferenceConfig.temperature",
        "must be a number from 0 to 1",
    ),
    (
        "roles",
        config_of({**GOOD, "messages": [{"role": "system", "content": "{{ a }}"}]}),
        "request.body.messages[0].role",
        "must be user or assistant",
    ),
    (
        "roles",
        converse_of({"messages": [*CONVERSE["messages"], {"role": "tool", "content": []}]}),
        "request.body.messages[1].role",
        "must be user or assistant",
    ),
    (
        "image-url",
        config_of(body_with([IMAGE_URL, {"type": "text", "text": "{{ a }}"}])),
        "request.body.messages[0].content[0].image_url",
        "is a part of another API",
    ),
    (
        "image-url",
        config_of(with_block(IMAGE_URL), "amazon.nova-lite-v1:0"),
        "request.body.messages[0].content[0].image_url",
        "is a part of another API",
    ),
    (
        "text-only",
        config_with({"images": "photo", "max_tokens": None}, "cohere.embed-english-v3"),
        "request.images",
        "this model takes no text with images; use cohere.embed-v4:0",
    ),
    (
        "dimensions",
        config_with(
            {"dimensions": 512, "max_tokens": None, "input_type": "clustering"},
            "amazon.nova-2-multimodal-embeddings-v1:0",
        ),
        "request.dimensions",
        "this model's vectors have 256, 384, 1024, 3072 numbers",
    ),
    (
        "text-type",
        config_of({"inputText": ["{{ a }}"]}, "amazon.titan-embed-text-v2:0"),
        "request.body.inputText",
        "must be a text",
    ),
    (
        "text-type",
        config_of({"inputText": 7, "n": "{{ a }}"}, "amazon.titan-text-express-v1"),
        "request.body.inputText",
        "must be a text",
    ),
]


@pytest.mark.parametrize(("rule", "config", "where", "message"), FAULTS)
def test_a_fault_is_found_by_its_rule(rule: str, config: Config, where: str, message: str) -> None:
    """There is one finding, with the key paths of the fault."""
    (finding,) = lint(config)
    assert (finding.rule, finding.where) == (rule, where)
    assert finding.message.startswith(message)


def test_every_rule_is_tested() -> None:
    """The table above has a row for each; test_schema_rules.py tests the rule of schemas."""
    assert {rule for rule, _, _, _ in FAULTS} == set(RULES) - {"schema"}


@pytest.mark.parametrize(
    "config",
    [
        make_config(),
        config_of(
            {**GOOD, "temperature": 0, "top_p": 0.5}, "anthropic.claude-3-haiku-20240307-v1:0"
        ),
        config_of({**GOOD, "temperature": 0}, HAIKU_45),
        config_of({**GOOD, "top_p": 0.5}, "anthropic.claude-sonnet-4-6"),
        config_of(
            {**GOOD, "temperature": 0, "top_p": 0.5}, "anthropic.claude-sonnet-4-20250514-v1:0"
        ),
        config_of({**GOOD, "tools": [{"name": "f", "input_schema": {"text": ""}}]}),
        config_of({**GOOD, "anthropic_version": "{{ version }}"}),
        config_of({**GOOD, "stream": False, "system": ""}),
        config_of(
            {
                "messages": [
                    {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]},
                    {"role": "user", "content": "{{ a }}"},
                ]
            },
            "mistral.mistral-large-2407-v1:0",
        ),
        config_of({"messages": "{{ a }}"}, "qwen.qwen3-32b-v1:0"),
        config_of({"prompt": "{{ a }}", "max_gen_len": "{{ n }}"}, "meta.llama4-scout-17b-x"),
        config_of({"prompt": "{{ a }}", "max_gen_len": 8_192}, "meta.llama4-scout-17b-x"),
        make_config(
            request={"body": {"toolConfig": {"tools": ["{{ a }}"]}}},
            model={"id": "x", "family": "raw"},
        ),
        converse_of({**CONVERSE, "toolConfig": {}}),
        config_of({**GOOD, "temperature": "{{ t }}"}),
        config_of({**GOOD, "temperature": 1}),
        config_of({**GOOD, "messages": [{"role": "{{ role }}", "content": "{{ a }}"}]}),
        config_of({"messages": [{"role": "system", "content": "{{ a }}"}]}, "qwen.qwen3-32b-v1:0"),
        config_of({**body_with([IMAGE_URL])}, "mistral.pixtral-large-2502-v1:0"),
        config_of({"message": "{{ a }}", "temperature": 4}, "cohere.command-text-v14"),
        converse_of(with_block({"guardContent": {"text": {"text": "{{ a }}"}}})),
        make_config(request={"body_column": "body"}, model={"id": HAIKU_45}),
        config_of(PREFILLED, HAIKU_45),
        config_of({**GOOD, **FORCED}, "anthropic.claude-haiku-5-5"),
        config_of(with_thinking(type="{{ kind }}", budget_tokens=2_000), HAIKU_45),
        config_of(
            {**with_thinking(type="adaptive"), "temperature": 1}, "anthropic.claude-opus-4-6-v1"
        ),
        config_of(with_thinking(type="disabled"), "anthropic.claude-sonnet-5"),
        config_with({"images": "photo", "documents": "paper"}, HAIKU_45),
        config_with({"images": "photo"}, "amazon.nova-lite-v1:0"),
        config_with({"images": "photo", "max_tokens": None}, "us.cohere.embed-v4:0"),
        config_with({"documents": "paper"}, "amazon.nova-lite-v1:0", invocation="converse"),
    ],
)
def test_a_body_without_a_known_fault_has_no_finding(config: Config) -> None:
    """Correct bodies, placeholders, bodies from a column, models without a rule."""
    assert lint(config) == []


def test_a_raw_body_for_claude_is_checked_too() -> None:
    """The id shows that the model is Claude, although the family is raw."""
    model = {"id": CLAUDE, "family": "raw"}
    config = make_config(request={"body": {"messages": "{{ a }}"}}, model=model)
    assert [f.rule for f in lint(config)] == ["anthropic-version"]


def test_many_places_are_one_finding() -> None:
    """Three key paths are named, the others are counted."""
    blocks = [{"type": "text", "text": "", "cache_control": {}} for _ in range(5)]
    findings = lint(config_of({**GOOD, "messages": [{"role": "user", "content": blocks}]}))
    assert [f.rule for f in findings] == ["caching", "empty-text"]
    assert findings[1].where.endswith("content[2].text and 2 more")


def test_each_finding_is_a_problem_of_its_key() -> None:
    """It says what to do, and how to turn the rules off. It shows no prompt."""
    body = {**body_with([{"type": "text", "text": ""}, {"type": "text", "text": "secret"}])}
    config = config_of({**body, "stream": True, "temperature": 0, "top_p": 1}, HAIKU_45)
    faults = [fault.text for fault in request_faults(config, has_templates=False)]
    assert [fault.split(":")[0] for fault in faults] == [
        "request.body.temperature, request.body.top_p",
        "request.body.messages[0].content[0].text",
        "request.body.stream",
    ]
    for fault in faults:
        assert f"The model {HAIKU_45} would refuse every record" in fault
        assert fault.endswith("set batch.lint: ignore")
        assert "secret" not in fault


def test_the_linter_can_be_turned_off() -> None:
    """The service changes: an outdated rule must not block a run."""
    config = config_of({**GOOD, "stream": True}, batch={"lint": "ignore"})
    assert [f.rule for f in lint(config)] == ["stream"]
    assert request_faults(config, has_templates=False) == []


def test_a_body_that_cannot_be_built_is_an_error() -> None:
    """The error is the same as without the linter."""
    with pytest.raises(ConfigError, match=r"^request\.max_tokens"):
        lint(make_config(request={"prompt": "{{ a }}"}))


def found_in(config: Config, rendered: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in RenderedLint(config)(rendered)]


@pytest.mark.parametrize(
    ("template", "row", "rule", "where"),
    [
        ({**GOOD, "temperature": "{{ x }}"}, 1.5, "temperature", "temperature"),
        ({**GOOD, "temperature": "{{ x }}"}, "0.5", "temperature", "temperature"),
        ({**GOOD, "temperature": "{{ x }}"}, [1], "temperature", "temperature"),
        (
            {**GOOD, "messages": [{"role": "{{ x }}", "content": "hi"}]},
            "system",
            "roles",
            "messages[0].role",
        ),
        (body_with("{{ x }}"), [IMAGE_URL], "image-url", "messages[0].content[0].image_url"),
        (
            body_with([{"type": "text", "text": "{{ x }}"}]),
            5,
            "text-type",
            "messages[0].content[0].text",
        ),
        ({**GOOD, "max_tokens": "{{ x }}"}, 4_097, "max-tokens", "max_tokens"),
    ],
)
def test_what_a_column_makes_is_found_in_the_rendered_body(
    template: dict[str, Any], row: Any, rule: str, where: str
) -> None:
    """The template has no fault; the body of a row has."""
    config = config_of(template, "anthropic.claude-3-haiku-20240307-v1:0")
    assert lint(config) == []
    rendered = json.loads(body_template(config).render({"x": row, "a": "b", "b": "c"}))
    assert found_in(config, rendered) == [(rule, f"request.body.{where}")]


def test_options_of_the_config_are_named_in_a_rendered_body() -> None:
    """Not the key that the model has for them."""
    config = make_config(
        request={"prompt": "{{ a }}", "max_tokens": 10_001}, model={"id": "amazon.nova-micro-v1:0"}
    )
    rendered = json.loads(body_template(config).render({"a": "b"}))
    assert found_in(config, rendered) == [("max-tokens", "request.max_tokens")]


def test_keys_that_a_row_brings_are_not_shown() -> None:
    """They are data. The last key is the rule's own."""
    config = make_config(request={"body_column": "body"}, model={"id": CLAUDE})
    body = {**GOOD, "my secret.": {"cache_control": {}}, "temperature": 7}
    assert found_in(config, body) == [
        ("caching", "request.body_column.cache_control"),
        ("temperature", "request.body_column.temperature"),
    ]
