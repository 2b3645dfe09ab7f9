"""What a call can use at most: for each kind of request, a strict bound or an open doubt."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.call_bound import bound_of, doubts_in_words
from bedrock_spark.costs.tokens import Tokens, paid_words
from bedrock_spark.families import family_by_name

PRICES = TokenPrices(input=Decimal(1), output=Decimal(5))
WITH_CACHE = TokenPrices(input=Decimal(1), output=Decimal(5), cache_write=Decimal("1.25"))
LIMIT = {"max_tokens": 100}
TEXT = {"role": "user", "content": [{"type": "text", "text": "How much? " * 20}]}
DATA = "iVBORw0KGgo" + "A" * 400_000
PNG = {"type": "base64", "media_type": "image/png", "data": DATA}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0" + "A" * 400_000}
CACHED = {"type": "text", "text": "x" * 5_000, "cache_control": {"type": "ephemeral"}}
FOR_AN_HOUR = {**CACHED, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object"}}}


def claude(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [*blocks]} if blocks else TEXT
    return {"anthropic_version": "bedrock-2023-05-31", "messages": [message], **LIMIT, **more}


def converse(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = [{"text": "How much?"}, *blocks]
    limits = {"inferenceConfig": {"maxTokens": 100}}
    return {"messages": [{"role": "user", "content": content}], **limits, **more}


IN_S3 = {"s3Location": {"uri": "s3://bucket/cat.png"}}
TOOL = {"name": "look", "description": "Looks", "input_schema": {"type": "object"}}
STRICT = {
    "text": ("anthropic", claude()),
    "a system prompt": ("anthropic", claude(system="You are kind")),
    "thinking": ("anthropic", claude(thinking={"type": "enabled", "budget_tokens": 50})),
    "effort": ("anthropic", claude(output_config={"effort": "low"})),
    "cache points": ("anthropic", claude(CACHED)),
    "a text for Converse": ("converse", converse()),
    "cache points of Converse": ("converse", converse({"cachePoint": {"type": "default"}})),
    "Nova": ("nova", converse(schemaVersion="messages-v1")),
    "Llama": ("llama3", {"prompt": "<|begin_of_text|>Hello", "max_gen_len": 100}),
    "OpenAI's chat": ("gpt_oss", {"messages": [{"role": "user", "content": "x"}], **LIMIT}),
    "an embedding": ("titan_embeddings", {"inputText": "x", "dimensions": 256}),
    "an image of Stability": ("stability", {"prompt": "A fox"}),
}
NOT_STRICT = {
    "tools": ("anthropic", claude(tools=[TOOL]), "tools"),
    "tools of Converse": ("converse", converse(toolConfig={"tools": []}), "toolConfig"),
    "a schema": ("anthropic", claude(output_config=SCHEMA), "format"),
    "an image": ("anthropic", claude({"type": "image", "source": PNG}), "source"),
    "a document": ("anthropic", claude({"type": "document", "source": PDF}), "source"),
    "an image of Converse": (
        *("converse", converse({"image": {"format": "png", "source": {"bytes": DATA}}})),
        "image",
    ),
    "media in S3": (
        *("converse", converse({"image": {"format": "png", "source": IN_S3}})),
        "in S3 is not known",
    ),
    "video in S3": (
        *("nova", converse({"video": {"format": "mp4", "source": IN_S3}})),
        "in S3 is not known",
    ),
    "an hour of cache": ("anthropic", claude(FOR_AN_HOUR), "for an hour costs more"),
    "no known family": ("raw", {"prompt": "x", **LIMIT}, "family of the model is not known"),
    "a key of tomorrow": ("anthropic", claude(mystery=1), "mystery"),
    "a large image": (
        *("amazon_images", {"imageGenerationConfig": {"width": 1_024, "height": 1_024}}),
        "512 pixels",
    ),
    "a premium image": (
        "amazon_images",
        {"imageGenerationConfig": {"width": 512, "height": 512, "quality": "premium"}},
        "premium",
    ),
}


@pytest.mark.parametrize("kind", STRICT)
def test_these_requests_have_a_strict_bound(kind: str) -> None:
    """One token for each byte of the body, and the longest answer that it allows."""
    name, body = STRICT[kind]
    bound = bound_of(body, family_by_name(name), WITH_CACHE)
    assert bound.is_strict
    family = family_by_name(name)
    if family.answers_images:
        assert bound.usage == Tokens(images=1)
        return
    assert bound.usage.input > len(json.dumps(body, ensure_ascii=False).encode())
    assert bound.usage.output == (100 if family.read_chunk is not None else 0)


@pytest.mark.parametrize("kind", NOT_STRICT)
def test_nothing_bounds_these_requests(kind: str) -> None:
    """Each says why, in words. A file in base64 does not cost by its bytes."""
    name, body, why = NOT_STRICT[kind]
    bound = bound_of(body, family_by_name(name), WITH_CACHE)
    assert not bound.is_strict
    assert why in doubts_in_words([bound, bound])
    assert doubts_in_words([bound, bound]) == doubts_in_words([bound])
    if "an image" in kind:
        assert bound.usage.input < 6_000


@pytest.mark.parametrize("kind", NOT_STRICT)
def test_the_count_of_the_service_bounds_the_input(kind: str) -> None:
    """Tools and media are in it. It says nothing about the price of a cache or of an image."""
    name, body, why = NOT_STRICT[kind]
    family = family_by_name(name)
    bound = bound_of(body, family, WITH_CACHE, 7)
    is_left = family.answers_images or "hour" in why or name == "raw"
    assert bound.is_strict is not is_left
    if not family.answers_images:
        assert bound.usage == Tokens(7, 100)


def test_a_cache_costs_the_price_of_writing() -> None:
    """1,000 tokens are written at $1.25, or else read in at $1; without that price, it is open."""
    family = family_by_name("anthropic")
    bound = bound_of(claude(CACHED), family, WITH_CACHE, 1_000)
    assert bound.cost(WITH_CACHE, None) == Decimal("1.25") + Decimal("0.5")
    assert bound_of(claude(), family, WITH_CACHE, 1_000).cost(WITH_CACHE, None) == Decimal("1.5")
    unknown = bound_of(claude(CACHED), family, PRICES, 1_000)
    assert unknown.doubts == ("the price of writing into the cache is not known",)


@pytest.mark.parametrize(
    ("body", "images"),
    [
        ({"imageGenerationConfig": {"numberOfImages": 3, "width": 512, "height": 320}}, 3),
        ({"imageGenerationConfig": {"numberOfImages": 5, "quality": "premium"}}, 5),
        ({"taskType": "TEXT_IMAGE"}, 1),
    ],
)
def test_images_are_counted_by_the_body_itself(body: dict[str, Any], images: int) -> None:
    """With a price of the user, that is the highest one, size and quality do not matter."""
    family = family_by_name("amazon_images")
    bound = bound_of(body, family, None, listed_image=None)
    assert bound.usage == Tokens(images=images)
    assert bound.is_strict
    assert bound.cost(None, Decimal("0.1")) == images * Decimal("0.1")
    assert bound.cost(None, None) is None


@pytest.mark.parametrize(
    ("drawn", "is_titan", "is_canvas"),
    [
        ({"width": 512, "height": 320}, True, True),
        ({"width": 512, "height": 512, "quality": "standard"}, True, True),
        ({"width": 512, "height": 512, "quality": "premium"}, False, True),
        ({"width": 1_024, "height": 512}, False, True),
        ({}, False, True),
        ({"quality": "premium"}, False, True),
        ({"width": 2_048, "height": 2_048}, False, True),
        ({"width": 2_048, "height": 512, "quality": "premium"}, False, False),
        ({"width": "{{ w }}", "height": 512}, False, True),
        ({"width": "{{ w }}", "height": 512, "quality": "premium"}, False, False),
        ({"quality": "{{ q }}"}, False, False),
        ({"quality": None}, False, False),
    ],
)
def test_the_list_price_bounds_an_image_of_some_sizes(
    drawn: dict[str, Any], is_titan: bool, is_canvas: bool
) -> None:
    """The table has the lowest price of Titan, and the one in the middle of Canvas."""
    family = family_by_name("amazon_images")
    for model_id, is_strict in (
        ("amazon.titan-image-generator-v2:0", is_titan),
        ("us.amazon.nova-canvas-v1:0", is_canvas),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-canvas-v1:0", is_canvas),
        ("", is_titan),
    ):
        bound = bound_of({"imageGenerationConfig": drawn}, family, None, listed_image=model_id)
        assert bound.is_strict is is_strict
    edits = {"taskType": "INPAINTING", "imageGenerationConfig": drawn}
    bound = bound_of(edits, family, None, listed_image="amazon.titan-image-generator-v2:0")
    assert bound.is_strict is (is_titan and "width" in drawn)


def test_several_answers_are_paid_for_each() -> None:
    body = {"message": "x", "num_generations": 3, "max_tokens": 50}
    assert bound_of(body, family_by_name("cohere_command"), PRICES).usage.output == 150


def test_an_answer_without_a_limit_is_not_bounded() -> None:
    body = {"messages": [TEXT]}
    bound = bound_of(body, family_by_name("anthropic"), PRICES)
    assert not bound.has_limit
    assert not bound.is_strict
    assert bound.doubts == ()


def test_a_long_call_costs_more_than_its_price_says() -> None:
    family = family_by_name("anthropic")
    for counted, is_strict in ((200_000, True), (200_001, False)):
        bound = bound_of(claude(), family, PRICES, counted, long_input=200_000)
        assert bound.is_strict is is_strict


@given(st.text(max_size=200), st.text(max_size=50))
def test_no_text_has_more_tokens_than_the_bound(text: str, system: str) -> None:
    """The worst tokenizer takes each byte for a token, and some for the marks around a text."""
    bound = bound_of(claude({"type": "text", "text": text}, system=system), FAMILY, PRICES)
    worst = len((text + system).encode(errors="surrogatepass"))
    assert bound.usage.input >= worst + 100
    assert bound.is_strict


FAMILY = family_by_name("anthropic")


@pytest.mark.parametrize(
    ("dollars", "unknown", "words"),
    [
        ("0.0123", 0, "$0.0123"),
        ("0.0123", 2, "$0.0123 and 2 calls of unknown price"),
        ("0", 1, "1 call of unknown price"),
        ("0", 0, "$0.0000"),
    ],
)
def test_a_call_of_unknown_price_is_not_free(dollars: str, unknown: int, words: str) -> None:
    assert paid_words(Decimal(dollars), unknown) == words
