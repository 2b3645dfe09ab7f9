"""The family of each model id: real ids, each of exactly one family."""

from __future__ import annotations

import pytest

from bedrock_spark.config import ModelConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import (
    FAMILIES,
    GEOGRAPHIES,
    bare_model_id,
    family_of_model,
    without_geography,
)
from tests.unit.fakes import ACCOUNT

IDS: dict[str, tuple[str, ...]] = {
    "anthropic": (
        "anthropic.claude-instant-v1",
        "anthropic.claude-v2:1",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "anthropic.claude-3-7-sonnet-20250219-v1:0",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-sonnet-4-20250514-v1:0",
        "anthropic.claude-opus-4-8",
        "anthropic.claude-sonnet-5",
    ),
    "nova": (
        "amazon.nova-micro-v1:0",
        "amazon.nova-lite-v1:0",
        "amazon.nova-lite-v1:0:300k",
        "amazon.nova-pro-v1:0",
        "amazon.nova-premier-v1:0",
        "amazon.nova-2-lite-v1:0",
    ),
    "titan_text": (
        "amazon.titan-tg1-large",
        "amazon.titan-text-lite-v1",
        "amazon.titan-text-express-v1:0:8k",
        "amazon.titan-text-premier-v1:0",
    ),
    "titan_embeddings": (
        "amazon.titan-embed-text-v1",
        "amazon.titan-embed-text-v1:2:8k",
        "amazon.titan-embed-g1-text-02",
        "amazon.titan-embed-text-v2:0",
    ),
    "titan_multimodal": ("amazon.titan-embed-image-v1", "amazon.titan-embed-image-v1:0"),
    "nova_embeddings": ("amazon.nova-2-multimodal-embeddings-v1:0",),
    "amazon_images": (
        "amazon.titan-image-generator-v1",
        "amazon.titan-image-generator-v2:0",
        "amazon.nova-canvas-v1:0",
    ),
    "cohere_command": ("cohere.command-text-v14", "cohere.command-light-text-v14"),
    "cohere_command_r": ("cohere.command-r-v1:0", "cohere.command-r-plus-v1:0"),
    "cohere_embed": (
        "cohere.embed-english-v3",
        "cohere.embed-multilingual-v3:0:512",
        "cohere.embed-v4:0",
    ),
    "llama3": (
        "meta.llama3-8b-instruct-v1:0",
        "meta.llama3-1-405b-instruct-v1:0",
        "meta.llama3-2-1b-instruct-v1:0",
        "meta.llama3-2-90b-instruct-v1:0",
        "meta.llama3-3-70b-instruct-v1:0",
    ),
    "llama4": ("meta.llama4-scout-17b-instruct-v1:0", "meta.llama4-maverick-17b-instruct-v1:0"),
    "mistral_instruct": (
        "mistral.mistral-7b-instruct-v0:2",
        "mistral.mixtral-8x7b-instruct-v0:1",
        "mistral.mistral-large-2402-v1:0",
        "mistral.mistral-small-2402-v1:0",
    ),
    "mistral_chat": (
        "mistral.mistral-large-2407-v1:0",
        "mistral.pixtral-large-2502-v1:0",
        "mistral.mistral-large-3-675b-instruct",
        "mistral.magistral-small-2509",
        "mistral.ministral-3-3b-instruct",
        "mistral.ministral-3-14b-instruct",
    ),
    "jamba": ("ai21.jamba-instruct-v1:0", "ai21.jamba-1-5-mini-v1:0", "ai21.jamba-1-5-large-v1:0"),
    "stability": (
        "stability.sd3-large-v1:0",
        "stability.sd3-5-large-v1:0",
        "stability.stable-image-core-v1:1",
        "stability.stable-image-ultra-v1:0",
    ),
    "stability_xl": ("stability.stable-diffusion-xl-v1", "stability.stable-diffusion-xl-v1:0"),
    "gpt_oss": ("openai.gpt-oss-20b-1:0", "openai.gpt-oss-120b-1:0"),
    "qwen": (
        "qwen.qwen3-32b-v1:0",
        "qwen.qwen3-235b-a22b-2507-v1:0",
        "qwen.qwen3-coder-480b-a35b-v1:0",
        "qwen.qwen3-next-80b-a3b",
        "qwen.qwen3-vl-235b-a22b",
    ),
    "deepseek_r1": ("deepseek.r1-v1:0",),
    "deepseek_v3": ("deepseek.v3-v1:0", "deepseek.v3.2"),
}
CHOSEN = {"converse", "raw"}  # chosen by name, never by a model id
PAIRS = [(model_id, family) for family, ids in IDS.items() for model_id in ids]
# Every geography of a cross-Region inference profile.
GEOGRAPHY_TABLE = [
    *("us", "us-gov", "eu", "apac", "jp", "au", "ca"),
    *("sa", "me", "af", "in", "global"),
]
FORMS = [
    "{}",
    *(f"{geography}.{{}}" for geography in GEOGRAPHY_TABLE),
    "arn:aws:bedrock:us-east-1::foundation-model/{}",
    f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:inference-profile/eu.{{}}",
    f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/global.{{}}",
]


def test_the_ids_reach_every_family_and_family_names_are_unique() -> None:
    """Only a family that is chosen by name has no id."""
    assert len(PAIRS) >= 60
    names = [f.name for f in FAMILIES]
    assert len(set(names)) == len(names)
    assert set(IDS) | CHOSEN == set(names)


@pytest.mark.parametrize(("model_id", "family"), PAIRS)
def test_an_id_belongs_to_one_family(model_id: str, family: str) -> None:
    """If two patterns matched, the order of a list would decide."""
    names = [f.name for f in FAMILIES if f.pattern is not None and f.pattern.fullmatch(model_id)]
    assert names == [family]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_id_has_the_same_family(form: str) -> None:
    """The bare id, an inference profile of any geography, an ARN."""
    for model_id, family in PAIRS:
        assert family_of_model(ModelConfig(id=form.format(model_id))).name == family


def test_the_geographies_are_these() -> None:
    """One list: family_of() and the count of other jobs under a quota both use it."""
    assert list(GEOGRAPHIES) == GEOGRAPHY_TABLE


@pytest.mark.parametrize("geography", GEOGRAPHY_TABLE)
@pytest.mark.parametrize("model_id", ["meta.llama3-8b-instruct-v1:0", "anthropic.claude-v2:1"])
def test_a_geography_is_removed_from_an_id(geography: str, model_id: str) -> None:
    """From a profile's id, and from its ARN by bare_model_id() only."""
    profile = f"{geography}.{model_id}"
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:inference-profile/{profile}"
    assert without_geography(profile) == bare_model_id(profile) == bare_model_id(arn) == model_id
    assert without_geography(arn) == arn


@pytest.mark.parametrize("geography", ["mx", "latam", "eu-west", "regional"])
@pytest.mark.parametrize("model_id", ["anthropic.claude-v2:1", "zai.glm-5.3", "acme.chat-1"])
def test_a_geography_that_is_new_is_removed_too(geography: str, model_id: str) -> None:
    """Any word that the service model allows there."""
    assert bare_model_id(f"{geography}.{model_id}") == model_id


@pytest.mark.parametrize(
    "model_id",
    [
        "us.nodots",
        "eu.",
        "unknown-place.anthropic.claude-v2:1",
        "x.anthropic.claude-v2:1",
        "amazon.nova.lite-v1:0",
        "zai.glm-4.7",
        "deepseek.v3.2",
        "openai.gpt-6.1-sol",
        "minimax.minimax-m2.1",
        "US.anthropic.claude-v2:1",
        "meta.llama3-8b-instruct-v1:0",
        "a.us.anthropic.claude-v2:1",
    ],
)
def test_an_id_without_a_geography_is_not_changed(model_id: str) -> None:
    """A geography comes first, has 2 to 8 letters, and a provider and a model follow."""
    assert without_geography(model_id) == bare_model_id(model_id) == model_id


def test_only_one_geography_is_removed() -> None:
    """No profile has two: the rest is not the id of a model."""
    assert bare_model_id("us.eu.anthropic.claude-v2:1") == "eu.anthropic.claude-v2:1"


@pytest.mark.parametrize(
    ("model_id", "does"),
    [
        ("amazon.nova-reel-v1:0", "makes videos"),
        ("luma.ray-v2:0", "makes videos"),
        ("amazon.nova-sonic-v1:0", "is for speech"),
        ("us.amazon.rerank-v1:0", "ranks texts"),
        ("cohere.rerank-v3-5:0", "ranks texts"),
        ("acme.embedding-large-v1:0", "makes embeddings"),
        ("stability.stable-image-inpaint-v1:0", "makes or changes images"),
        ("stability.stable-creative-upscale-v1:0", "makes or changes images"),
        ("twelvelabs.pegasus-1-2-v1:0", "answers questions about videos"),
        ("twelvelabs.marengo-embed-3-0-v1:0", "embeds videos"),
    ],
)
def test_what_is_no_chat_model_is_not_taken_for_one(model_id: str, does: str) -> None:
    """Video, speech, ranking, image editing: the message says what the model does."""
    with pytest.raises(ConfigError, match=rf"'{model_id}': {does}"):
        family_of_model(ModelConfig(id=model_id))


@pytest.mark.parametrize(
    "model_id",
    [
        "meta.llama2-70b-chat-v1",
        "moonshot.kimi-k2-thinking",
        "google.gemma-3-27b-it",
        "writer.palmyra-vision-7b",
        "acme.imagine-1",
        "arn:aws:bedrock:us-east-1::foundation-model/xai.grok-4.7",
    ],
)
def test_a_chat_model_of_no_known_family_goes_through_converse(model_id: str) -> None:
    """Models come every month, and all chat models take Converse."""
    assert family_of_model(ModelConfig(id=model_id)).name == "converse"
