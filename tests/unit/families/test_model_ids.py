"""Misspelt model ids are noticed, new ones are not taken for misspelt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_emulator.models.catalog import listed_model_ids
from bedrock_spark.families import FAMILIES
from bedrock_spark.families.model_ids import MODEL_IDS, distance, meant_model_id
from tests.unit.families.test_ids import IDS


def test_the_ids_of_the_tests_and_of_the_local_bedrock_are_known() -> None:
    """One list, in which nothing is missing that the project itself names."""
    named = {model_id for ids in IDS.values() for model_id in ids} | set(listed_model_ids())
    assert named <= set(MODEL_IDS)
    assert len(set(MODEL_IDS)) == len(MODEL_IDS)


def test_each_family_with_ids_has_a_known_one() -> None:
    """A family that is added needs its ids here."""
    for family in FAMILIES:
        if family.pattern is not None:
            assert any(family.pattern.fullmatch(model_id) for model_id in MODEL_IDS), family.name


@pytest.mark.parametrize(
    ("model_id", "meant"),
    [
        ("amazon.nova-litte-v1:0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lit-v1:0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-ltie-v1:0", "amazon.nova-lite-v1:0"),
        ("Amazon.Nova-Lite-v1:0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lite", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lite-v1", "amazon.nova-lite-v1:0"),
        ("nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("anthropic.claude-3-haik-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("anthropic.claude-3-haiku-20240307", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("antropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("claude-3-haiku-20240307", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("anthropic.claude-sonet-5", "anthropic.claude-sonnet-5"),
        ("mistral.mixtrall-8x7b-instruct-v0:1", "mistral.mixtral-8x7b-instruct-v0:1"),
    ],
)
def test_a_misspelt_id_is_told_with_the_one_that_was_meant(model_id: str, meant: str) -> None:
    """Letters, case, a version or a provider that is missing."""
    assert meant_model_id(model_id) == meant


@pytest.mark.parametrize(
    "model_id",
    [
        *MODEL_IDS,
        "anthropic.claude-sonnet-6-20270101-v1:0",
        "anthropic.claude-fable-5",
        "amazon.nova-3-lite-v1:0",
        "amazon.nova-pro-v2:0",
        "meta.llama5-12b-instruct-v1:0",
        "openai.gpt-oss-200b-1:0",
        "cohere.embed-v5:0",
        "acme.gpt-1",
        "m",
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/nova-litte",
    ],
)
def test_an_id_that_may_be_right_is_left_alone(model_id: str) -> None:
    """New versions, new models, new providers."""
    assert meant_model_id(model_id) is None


WORDS = st.text("abc", max_size=6)


@given(WORDS, WORDS, WORDS)
def test_the_distance_is_one(one: str, other: str, third: str) -> None:
    """0 only if equal, the same in both directions, at most the longer one's length."""
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, other) == distance(other, one)
    assert abs(len(one) - len(other)) <= distance(one, other) <= max(len(one), len(other))
    assert distance(one + third, other + third) <= distance(one, other)
    assert distance("ab" + one, "ba" + one) == 1
