"""The bodies of all families except Anthropic, Titan and Converse, and what they refuse."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, family_by_name
from bedrock_spark.templates.body_template import compile_template

FULL: dict[str, Any] = {"max_tokens": 7, "temperature": 0, "top_p": 0.5}
STOP: dict[str, Any] = {"stop": ["END"]}
SYSTEM: dict[str, Any] = {"system": "S {{ b }}"}
USER = {"role": "user", "content": "Q {{ a }}"}
CHAT = {"messages": [{"role": "system", "content": "S {{ b }}"}, USER]}
SAMPLING = {"temperature": 0, "top_p": 0.5}

# Family, options in addition to the prompt, body.
BODIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "nova",
        FULL | STOP | SYSTEM,
        {
            "messages": [{"role": "user", "content": [{"text": "Q {{ a }}"}]}],
            "system": [{"text": "S {{ b }}"}],
            "inferenceConfig": {
                "maxTokens": 7,
                "temperature": 0,
                "topP": 0.5,
                "stopSequences": ["END"],
            },
        },
    ),
    ("titan_multimodal", {}, {"inputText": "Q {{ a }}"}),
    (
        "nova_embeddings",
        {},
        {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": "GENERIC_INDEX",
                "embeddingDimension": 3072,
                "text": {"truncationMode": "NONE", "value": "Q {{ a }}"},
            },
        },
    ),
    (
        "amazon_images",
        {},
        {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "Q {{ a }}"}},
    ),
    (
        "cohere_command",
        FULL | STOP,
        {
            "prompt": "Q {{ a }}",
            "max_tokens": 7,
            "temperature": 0,
            "p": 0.5,
            "stop_sequences": ["END"],
        },
    ),
    (
        "cohere_command_r",
        FULL | STOP | SYSTEM,
        {
            "message": "Q {{ a }}",
            "preamble": "S {{ b }}",
            "max_tokens": 7,
            "temperature": 0,
            "p": 0.5,
            "stop_sequences": ["END"],
        },
    ),
    ("cohere_embed", {}, {"texts": ["Q {{ a }}"], "input_type": "search_document"}),
    (
        "llama3",
        FULL | SYSTEM,
        {
            "prompt": (
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS {{ b }}<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nQ {{ a }}<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n"
            ),
            "max_gen_len": 7,
            **SAMPLING,
        },
    ),
    (
        "llama4",
        FULL,
        {
            "prompt": (
                "<|begin_of_text|><|header_start|>user<|header_end|>\n\nQ {{ a }}<|eot|>"
                "<|header_start|>assistant<|header_end|>\n\n"
            ),
            "max_gen_len": 7,
            **SAMPLING,
        },
    ),
    (
        "mistral_instruct",
        FULL | STOP | SYSTEM,
        {
            "prompt": "<s>[INST] S {{ b }}\n\nQ {{ a }} [/INST]",
            "max_tokens": 7,
            "stop": ["END"],
            **SAMPLING,
        },
    ),
    ("mistral_chat", FULL | SYSTEM, {**CHAT, "max_tokens": 7, **SAMPLING}),
    ("jamba", FULL | STOP | SYSTEM, {**CHAT, "max_tokens": 7, "stop": ["END"], **SAMPLING}),
    (
        "gpt_oss",
        FULL | STOP | SYSTEM,
        {**CHAT, "max_completion_tokens": 7, "stop": ["END"], **SAMPLING},
    ),
    ("qwen", FULL | STOP | SYSTEM, {**CHAT, "max_tokens": 7, "stop": ["END"], **SAMPLING}),
    ("deepseek_v3", FULL | STOP | SYSTEM, {**CHAT, "max_tokens": 7, "stop": ["END"], **SAMPLING}),
    (
        "deepseek_r1",
        FULL | STOP,
        {
            "prompt": (
                "<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>Q {{ a }}"
                "<\uff5cAssistant\uff5c><think>\n"
            ),
            "max_tokens": 7,
            "stop": ["END"],
            **SAMPLING,
        },
    ),
    ("stability", {}, {"prompt": "Q {{ a }}"}),
    ("stability_xl", {}, {"text_prompts": [{"text": "Q {{ a }}"}]}),
]


def build(family: str, **request: Any) -> dict[str, Any]:
    return family_by_name(family).build(RequestConfig(**{"prompt": "Q {{ a }}", **request}), "")


def filled(value: Any, row: dict[str, str]) -> Any:
    """Return a body in which every placeholder is replaced by its value in `row`, once."""
    if isinstance(value, dict):
        return {k: filled(v, row) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, row) for v in value]
    if isinstance(value, str):
        return re.sub(r"\{\{ (\w) }}", lambda match: row[match[1]], value)
    return value


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_bodies(family: str, options: dict[str, Any], body: dict[str, Any]) -> None:
    """Every option becomes a member of the body. Placeholders stay for the template."""
    assert build(family, **options) == body


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_only_the_users_placeholders_are_evaluated(
    family: str, options: dict[str, Any], body: dict[str, Any]
) -> None:
    """The model's own template holds nothing that Jinja evaluates, and data is only a value."""
    template = compile_template(build(family, **options))
    columns = {"a", "b"} if "system" in options else {"a"}
    assert set(template.columns) == columns
    row = {"a": 'x "{{ b }}" {% raw %} [/INST]', "b": "{{ a }}"}
    assert json.loads(template.render(row)) == filled(body, row)


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_every_option_is_sent_or_refused(
    family: str, options: dict[str, Any], body: dict[str, Any]
) -> None:
    """No option is dropped silently. An option that the table does not send is refused."""
    del body
    all_options = FULL | STOP | SYSTEM
    for option in all_options.keys() - options.keys():
        if (family, option) == ("llama4", "system"):
            continue  # tested with Llama 3, which has the same code
        with pytest.raises(ConfigError, match=rf"^request\.{option}: .* {family} do not take it"):
            build(family, **{option: all_options[option]})


def test_the_table_has_every_family() -> None:
    """The families of test_families.py are the exception."""
    elsewhere = {"anthropic", "titan_text", "titan_embeddings", "converse", "raw"}
    assert {family for family, _, _ in BODIES} | elsewhere == {f.name for f in FAMILIES}


@pytest.mark.parametrize(
    ("family", "token"),
    [
        ("llama3", "<|eot_id|>"),
        ("llama3", "<|begin_of_text|>"),
        ("llama4", "<|header_start|>"),
        ("mistral_instruct", "[INST]"),
        ("mistral_instruct", "<s>"),
        ("deepseek_r1", "<\uff5cUser\uff5c>"),
    ],
)
def test_a_prompt_that_contains_the_template_is_refused(family: str, token: str) -> None:
    """The template would be applied twice. The message says what to do."""
    with pytest.raises(ConfigError, match=r"^request\.prompt: holds .* request\.body$"):
        build(family, prompt=f"{token} Q {{{{ a }}}}")
    if family != "deepseek_r1":
        with pytest.raises(ConfigError, match=r"^request\.system: holds "):
            build(family, system=token)
