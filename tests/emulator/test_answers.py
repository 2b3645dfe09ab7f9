"""Deterministic answers, embeddings and schema values follow their rules for any input."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.embedding import embed_words
from bedrock_emulator.answers.prompt import Prompt, PromptError, Tool, Turn
from bedrock_emulator.answers.schema import fit_schema
from bedrock_emulator.answers.tokens import count_tokens, first_tokens

_ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@given(_ANY_TEXT, st.integers(1, 80), st.lists(st.text(max_size=3), max_size=3))
def test_no_answer_is_longer_than_its_token_limit(text: str, limit: int, stop: list[str]) -> None:
    """Token counts are right, stop sequences are not in the text, a second answer is the same."""
    prompt = Prompt((Turn("user", text),), max_tokens=limit, stop_sequences=tuple(stop))
    answer = DeterministicBackend().complete("m", prompt)
    assert answer.output_tokens == count_tokens(answer.text) <= limit
    assert answer.input_tokens == count_tokens(text)
    if answer.stop == "sequence":
        assert answer.stop_sequence in stop
        assert answer.stop_sequence not in answer.text
    assert answer == DeterministicBackend().complete("m", prompt)


@given(_ANY_TEXT, st.integers(0, 50))
def test_the_first_tokens_are_a_beginning(text: str, limit: int) -> None:
    """At most `limit` tokens, or the whole text if it has fewer."""
    start = first_tokens(text, limit)
    assert text.startswith(start)
    assert count_tokens(start) == min(limit, count_tokens(text))


@given(_ANY_TEXT, st.sampled_from([1, 256, 1024]))
def test_embeddings_have_length_one(text: str, dimensions: int) -> None:
    """For every text, even empty or with lone surrogates. Equal texts have equal vectors."""
    vector = embed_words("m", text, dimensions)
    assert math.isclose(math.sqrt(sum(v * v for v in vector)), 1.0, abs_tol=1e-5)
    assert vector == embed_words("m", text, dimensions)


def _cosine(one: str, other: str) -> float:
    pairs = zip(embed_words("m", one, 512), embed_words("m", other, 512), strict=True)
    return sum(a * b for a, b in pairs)


def test_texts_with_shared_words_are_nearer() -> None:
    """The more words two texts share, the nearer their vectors are."""
    base = "the cat sat on the red mat"
    near, half, far = "the cat sat on a red mat", "the cat ate fish", "quantum flux drives boats"
    assert _cosine(base, near) > _cosine(base, half) > _cosine(base, far)
    assert _cosine(base, near) > 0.8
    assert abs(_cosine(base, far)) < 0.2
    assert 0.9 < _cosine(base, "mat red the on sat cat the") < 1.0


_SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        st.just({"type": "string"}),
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
            st.integers(-50, 50),
            st.integers(0, 9),
        ),
        st.builds(
            lambda low, more: {"type": "number", "minimum": low, "maximum": low + more},
            st.integers(-50, 50),
            st.integers(1, 9),
        ),
        st.just({"type": "boolean"}),
        st.just({"enum": ["a", "b"]}),
        st.just({"const": 3}),
        st.just({"type": ["null", "integer"]}),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties)[:2],
            },
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
        ),
        st.builds(
            lambda item, low, more: {
                "type": "array",
                "items": item,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.builds(lambda one: {"anyOf": [one]}, inner),
    ),
    max_leaves=6,
)


def _fits(schema: dict[str, Any], value: Any) -> bool:
    """Check a value independently, for the few keywords that the schemas above use."""
    if "anyOf" in schema:
        return any(_fits(option, value) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    kind = schema["type"]
    if isinstance(kind, list):
        return value is None or isinstance(value, int)
    if kind == "object":
        properties = schema["properties"]
        return set(schema["required"]) <= set(value) <= set(properties) and all(
            _fits(properties[name], item) for name, item in value.items()
        )
    if kind == "array":
        sized = schema["minItems"] <= len(value) <= schema["maxItems"]
        return sized and all(_fits(schema["items"], item) for item in value)
    if kind == "string":
        low, high = schema.get("minLength", 0), schema.get("maxLength", 10**6)
        return isinstance(value, str) and low <= len(value) <= high
    if kind == "boolean":
        return isinstance(value, bool)
    whole = kind == "number" or isinstance(value, int)
    return bool(whole and schema["minimum"] <= value <= schema["maximum"])


@given(_SCHEMAS, st.binary(min_size=16, max_size=16))
def test_generated_values_fit_their_schema(schema: dict[str, Any], key: bytes) -> None:
    """Types, bounds, lengths, required members, enums."""
    whole = {"type": "object", "properties": {"it": schema}, "required": ["it"]}
    assert _fits(schema, fit_schema(whole, key)["it"])


def test_schemas_may_refer_to_themselves() -> None:
    """Local references are followed, and a schema that refers to itself ends."""
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "format": "email"},
                    "next": {"$ref": "#/$defs/node"},
                    "all": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name"],
            }
        },
    }
    value = fit_schema(schema, b"0" * 16)
    assert value["next"]["name"] == "reader@example.com"


def test_tools_are_called_with_input_that_fits() -> None:
    """A named tool is always called; for `auto` not after its result; for `none` never."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
        "required": ["city", "days"],
    }
    tools = (Tool("weather", schema), Tool("clock", {}))
    backend = DeterministicBackend()
    named = Prompt((Turn("user", "weather?"),), tools=tools, tool_choice="weather")
    (call,) = backend.complete("m", named).tool_calls
    assert call.name == "weather"
    assert isinstance(call.input["city"], str)
    assert call.input["days"] >= 3
    auto = Prompt((Turn("user", "weather?"),), tools=tools)
    assert backend.complete("m", auto).stop == "tool"
    with_result = Prompt((Turn("user", "weather?"), Turn("tool", "rain")), tools=tools)
    assert backend.complete("m", with_result).text
    forbidden = Prompt((Turn("user", "weather?"),), tools=tools, tool_choice="none")
    assert backend.complete("m", forbidden).text


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9, "items": {"type": "null"}},
        {"type": "string", "minLength": 10**12},
        {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(30)}},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    ],
)
def test_schemas_that_would_fill_the_memory_are_refused(schema: dict[str, Any]) -> None:
    """A request of a hundred bytes must not cost gigabytes."""
    with pytest.raises(PromptError):
        fit_schema(schema, b"k")
