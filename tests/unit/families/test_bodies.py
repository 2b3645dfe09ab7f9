"""The bodies that families beside Anthropic, Titan and Converse build, and what they refuse."""

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

# Family, options beside the prompt, body.
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
    return family_by_name(family).build(RequestConfig(**{"prompt": "Q {{ a }}", **request}))


def filled(value: Any, row: dict[str, str]) -> Any:
    """Give a body with its placeholders replaced, each once."""
    if isinstance(value, dict):
        return {k: filled(v, row) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, row) for v in value]
    if isinstance(value, str):
        return re.sub(r"\{\{ (\w) }}", lambda found: row[found[1]], value)
    return value


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_bodies(family: str, options: dict[str, Any], body: dict[str, Any]) -> None:
    """Every option has its member; the placeholders are left for the template."""
    assert build(family, **options) == body


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_only_the_users_placeholders_are_evaluated(
    family: str, options: dict[str, Any], body: dict[str, Any]
) -> None:
    """A model's template holds nothing that Jinja reads, and the data is only ever a value."""
    template = compile_template(build(family, **options))
    wanted = {"a", "b"} if "system" in options else {"a"}
    assert set(template.columns) == wanted
    row = {"a": 'x "{{ b }}" {% raw %} [/INST]', "b": "{{ a }}"}
    assert json.loads(template.render(row)) == filled(body, row)


@pytest.mark.parametrize(("family", "options", "body"), BODIES)
def test_every_option_is_sent_or_refused(
    family: str, options: dict[str, Any], body: dict[str, Any]
) -> None:
    """Never dropped: the user meant it. What the table does not show as sent is refused."""
    del body
    every = FULL | STOP | SYSTEM
    for option in every.keys() - options.keys():
        if (family, option) == ("llama4", "system"):
            continue  # shown for Llama 3; the code is the same
        with pytest.raises(ConfigError, match=rf"^request\.{option}: .* {family} do not take it"):
            build(family, **{option: every[option]})


def test_every_family_is_in_the_table() -> None:
    """The others are in test_families.py."""
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
def test_a_prompt_in_the_template_already_is_refused(family: str, token: str) -> None:
    """Twice in the template it would mean something else; the message says where it belongs."""
    with pytest.raises(ConfigError, match=r"^request\.prompt: holds .* request\.body$"):
        build(family, prompt=f"{token} Q {{{{ a }}}}")
    if family != "deepseek_r1":
        with pytest.raises(ConfigError, match=r"^request\.system: holds "):
            build(family, system=token)
