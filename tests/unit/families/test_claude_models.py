"""What a Claude model takes follows from the word and the version in its id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families import bare_model_id
from bedrock_spark.families.claude_models import ClaudeModel, claude_model
from tests.unit.families.test_recorded_ids import RECORDED

# Id after anthropic.claude-, version, and what the model takes: b budget, e effort, p prefill,
# s samplers, 1 one sampler, t thinks by itself, a always thinks.
MODELS: list[tuple[str, tuple[int, int], str]] = [
    ("instant-v1", (2, 0), "p s"),
    ("v2:1", (2, 0), "p s"),
    ("3-haiku-20240307-v1:0", (3, 0), "p s"),
    ("3-5-sonnet-20241022-v2:0", (3, 5), "p s"),
    ("3-7-sonnet-20250219-v1:0", (3, 7), "b p s"),
    ("sonnet-4-20250514-v1:0", (4, 0), "b p s"),
    ("opus-4-1-20250805-v1:0", (4, 1), "b p 1"),
    ("haiku-4-5-20251001-v1:0", (4, 5), "b p 1"),
    ("opus-4-6-v1", (4, 6), "b e 1"),
    ("sonnet-4-6", (4, 6), "b e 1"),
    ("opus-4-7", (4, 7), "e"),
    ("opus-4-8-v1:0", (4, 8), "e"),
    ("opus-5", (5, 0), "e t"),
    ("sonnet-5-v1:0", (5, 0), "e t"),
    ("haiku-5-5", (5, 5), "e t"),
    ("opus-5-5", (5, 5), "e t a"),
    ("sonnet-5-5-v1:0", (5, 5), "e t a"),
    ("fable-5", (5, 0), "e t a"),
    ("fable-5-1-v1:0", (5, 1), "e t a"),
    ("mythos-5-1", (5, 1), "e t a"),
    ("mythos-preview", (99, 0), "e t a"),
    ("saga-6", (6, 0), "e t a"),
    ("opus-latest", (99, 0), "e t a"),
]


@pytest.mark.parametrize(("name", "version", "takes"), MODELS)
def test_a_version_says_what_a_model_takes(name: str, version: tuple[int, int], takes: str) -> None:
    """A word that is not known, or no version at all, counts as new."""
    model = claude_model(f"anthropic.claude-{name}")
    assert model is not None
    assert model.version == version
    found = {
        "b": model.takes_budget,
        "e": model.takes_effort,
        "p": not model.refuses_prefill,
        "s": not model.refuses_samplers and not model.takes_one_sampler,
        "1": model.takes_one_sampler,
        "t": model.thinks_unasked,
        "a": model.always_thinks,
    }
    assert {letter for letter, is_so in found.items() if is_so} == set(takes.split())


def test_every_recorded_claude_has_a_version() -> None:
    """No date and no version of the API is taken for the model's version."""
    ids = {bare_model_id(model_id) for model_id, family in RECORDED if family == "anthropic"}
    assert len(ids) > 25
    for model_id in ids - {"anthropic.claude-mythos-preview"}:
        model = claude_model(model_id)
        assert model is not None
        assert (2, 0) <= model.version < (6, 0), model_id


def test_other_models_are_no_claude() -> None:
    """Nor is an ARN that hides its model."""
    assert claude_model("amazon.nova-2-lite-v1:0") is None
    assert claude_model("") is None


@given(st.sampled_from(["opus", "sonnet", "haiku", "saga"]), st.integers(5, 30), st.integers(0, 30))
def test_a_new_version_takes_what_the_newest_take(word: str, major: int, minor: int) -> None:
    """So a model that appears tomorrow needs no new rule."""
    model = claude_model(f"anthropic.claude-{word}-{major}-{minor}")
    assert model == ClaudeModel(word, (major, minor))
    assert model.refuses_samplers
    assert model.refuses_prefill
    assert model.takes_effort
    assert not model.takes_budget
