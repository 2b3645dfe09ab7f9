"""A config from a request of the playground: it passes `check`, and sends the same request."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from bedrock_spark.check import check_config
from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, Family, family_by_name, family_of
from bedrock_spark.families.request_body import body_template
from bedrock_spark.starter.from_request import TriedRequest, config_of_request
from tests.unit.fakes import ACCOUNT, PROVISIONED

# A model of each family, in the order of their names.
MODELS = {
    "amazon_images": "amazon.nova-canvas-v1:0",
    "anthropic": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "cohere_command": "cohere.command-text-v14",
    "cohere_command_r": "cohere.command-r-v1:0",
    "cohere_embed": "cohere.embed-v4:0",
    "converse": "google.gemma-3-27b-it",
    "deepseek_r1": "us.deepseek.r1-v1:0",
    "deepseek_v3": "deepseek.v3-v1:0",
    "gpt_oss": "openai.gpt-oss-120b-1:0",
    "jamba": "ai21.jamba-1-5-mini-v1:0",
    "llama3": "meta.llama3-8b-instruct-v1:0",
    "llama4": "us.meta.llama4-scout-17b-instruct-v1:0",
    "mistral_chat": "mistral.mistral-large-2407-v1:0",
    "mistral_instruct": "mistral.mistral-7b-instruct-v0:2",
    "nova": "amazon.nova-lite-v1:0",
    "nova_embeddings": "amazon.nova-2-multimodal-embeddings-v1:0",
    "qwen": "qwen.qwen3-32b-v1:0",
    "stability": "stability.sd3-5-large-v1:0",
    "stability_xl": "stability.stable-diffusion-xl-v1",
    "titan_embeddings": "amazon.titan-embed-text-v2:0",
    "titan_multimodal": "amazon.titan-embed-image-v1",
    "titan_text": "amazon.titan-text-express-v1",
}
ASKED = [family for family in FAMILIES if family.name != "raw"]
HOSTILE = 'Say {{ hello }} {% if x %} {# no #} "<script>alert(1)</script>" {{{'


def is_text(family: Family) -> bool:
    return family.read_chunk is not None


def rendered(text: str, row: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(body_template(check_config(yaml.safe_load(text))).render(row))
    return body


def options_of(family: Family) -> dict[str, Any]:
    options: dict[str, Any] = {"max_tokens": 50, "temperature": 0.5} if is_text(family) else {}
    return {**options, **({"seed": 7} if "seed" in family.extras else {})}


@pytest.mark.parametrize("family", ASKED, ids=lambda family: family.name)
def test_a_config_of_each_family_passes_check_and_asks_the_question(family: Family) -> None:
    """About each row; a row is the whole text of an embedding and of an image."""
    tried = TriedRequest(MODELS[family.name], family.name, "Say hello", options_of(family))
    text = config_of_request(tried, "s3://mine/runs", "us-east-1")
    config = check_config(yaml.safe_load(text))
    assert family_of(config) == family
    assert config.run_uri == "s3://mine/runs/playground"
    asked = "Say hello\n\na row" if is_text(family) else "a row"
    request = RequestConfig(prompt=asked, **options_of(family))
    assert rendered(text, {"text": "a row"}) == family.build(request, config.model.id)
    assert "# The question." in text
    assert 'It was tried with: "Say hello"' in text


@pytest.mark.parametrize("family", ASKED, ids=lambda family: family.name)
def test_a_body_of_each_family_passes_check(family: Family) -> None:
    """A request that was edited is sent as it is, but for the question."""
    request = RequestConfig(prompt="Say hello", **options_of(family))
    body = family.build(request, MODELS[family.name])
    tried = TriedRequest(MODELS[family.name], family.name, "Say hello", body=body)
    asked = "Say hello\n\na row" if is_text(family) else "a row"
    expected = family.build(request.model_copy(update={"prompt": asked}), MODELS[family.name])
    assert rendered(config_of_request(tried), {"text": "a row"}) == expected


def test_texts_with_braces_are_sent_as_they_are() -> None:
    """Only the question gets a placeholder."""
    tried = TriedRequest(MODELS["nova"], "nova", HOSTILE, {"system": HOSTILE, "max_tokens": 5})
    body = rendered(config_of_request(tried), {"text": "a row"})
    assert body["system"] == [{"text": HOSTILE}]
    assert body["messages"][0]["content"] == [{"text": f"{HOSTILE}\n\na row"}]
    turns = [("user", HOSTILE), ("assistant", "{{ yes }}"), ("user", "And {{ now }} now {%")]
    several = {"messages": [{"role": r, "content": [{"text": t}]} for r, t in turns]}
    tried = TriedRequest(MODELS["nova"], "nova", "And {{ now }} now {%", body=several)
    body = rendered(config_of_request(tried), {"text": "a row"})
    said = [message["content"][0]["text"] for message in body["messages"]]
    assert said == [HOSTILE, "{{ yes }}", "And {{ now }} now {%\n\na row"]


def test_a_question_with_a_column_keeps_it() -> None:
    tried = TriedRequest(MODELS["nova"], "nova", "Translate {{ body | upper }}", {"max_tokens": 5})
    text = config_of_request(tried)
    body = rendered(text, {"body": "a row"})
    assert body["messages"][0]["content"] == [{"text": "Translate A ROW"}]
    assert "It was tried with" not in text


def test_a_throughput_serves_the_fallback() -> None:
    """Batch jobs take none: they get its base model."""
    tried = TriedRequest(PROVISIONED, "nova", "Hello", {"max_tokens": 5}, base=MODELS["nova"])
    config = check_config(yaml.safe_load(config_of_request(tried)))
    assert config.model.id == MODELS["nova"]
    assert config.fallback is not None
    assert config.fallback.model_id == PROVISIONED
    with pytest.raises(ConfigError, match="its base model is not known"):
        config_of_request(TriedRequest(PROVISIONED, "nova", "Hello", {"max_tokens": 5}))


@pytest.mark.parametrize(
    ("model_id", "family", "section"),
    [
        (MODELS["nova"], "converse", {"invocation": "converse"}),
        (MODELS["nova"], "nova", {}),
        (MODELS["converse"], "converse", {}),
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl",
            *("nova", {"family": "nova"}),
        ),
    ],
)
def test_the_model_says_how_it_is_asked(
    model_id: str, family: str, section: dict[str, str]
) -> None:
    """Only if its id does not say the same."""
    tried = TriedRequest(model_id, family, "Hello", {"max_tokens": 5})
    values = yaml.safe_load(config_of_request(tried))
    assert values["model"] == {"id": model_id, **section}
    assert family_of(check_config(values)) == family_by_name(family)


def test_a_body_without_the_question_has_no_place_for_a_column() -> None:
    for question, said in (("Hello", "Goodbye"), ("", "")):
        body = {"messages": [{"role": "user", "content": [{"text": said}]}]}
        tried = TriedRequest(MODELS["nova"], "nova", question, body=body)
        with pytest.raises(ConfigError, match="write the same question into both"):
            config_of_request(tried)
