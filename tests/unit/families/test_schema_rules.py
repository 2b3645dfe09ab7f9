"""What models refuse of a schema: each rule, its place, and what is no fault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families.column_schema import schema_of_columns
from bedrock_spark.families.lint import lint
from bedrock_spark.families.schema_rules import CLAUDE, OPEN_WEIGHT, SchemaRules, schema_faults
from bedrock_spark.schema import ARRAY, STRUCT, Field, Kind
from tests.unit.fakes import make_config


def with_member(member: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"a": member},
        "required": ["a"],
        "additionalProperties": False,
        **more,
    }


CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
# Schema, place of the fault, its words, and whether only Claude refuses it.
FAULTS: list[tuple[dict[str, Any], str, str, bool]] = [
    *(
        (with_member({"type": "integer", k: 1}), f"properties.a.{k}", "not supported", False)
        for k in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
    ),
    *(
        (with_member({"type": "string", k: 1}), f"properties.a.{k}", "not supported", False)
        for k in ("minLength", "maxLength")
    ),
    (with_member({"type": "array", "minItems": 2}), "properties.a.minItems", "0 or 1", False),
    (with_member({"type": "array", "maxItems": 2}), "properties.a.maxItems", "supported", True),
    (with_member({"enum": [{"x": 1}]}), "properties.a.enum", "must be texts", False),
    (
        with_member({"type": "object", "additionalProperties": {"type": "string"}}),
        "properties.a.additionalProperties",
        "must be false",
        False,
    ),
    (
        with_member({"type": "object", "properties": {}}),
        "properties.a.additionalProperties",
        "is missing",
        True,
    ),
    (
        with_member({"type": "array", "items": {"type": "number", "minimum": 0}}),
        "properties.a.items.minimum",
        "not supported",
        False,
    ),
    (
        with_member({"anyOf": [{"type": "null"}, {"type": "number", "minimum": 0}]}),
        "properties.a.anyOf[1].minimum",
        "not supported",
        False,
    ),
    (
        with_member({"$ref": "#/$defs/n"}, **{"$defs": {"n": {"type": "number", "maximum": 1}}}),
        "$defs.n.maximum",
        "not supported",
        False,
    ),
    (with_member({"$ref": "#"}), "properties.a.$ref", "contains itself", False),
    (
        with_member(
            {"$ref": "#/$defs/x"},
            **{
                "$defs": {
                    "x": {**CLOSED, "properties": {"y": {"$ref": "#/$defs/y"}}},
                    "y": {"type": "array", "items": {"$ref": "#/$defs/x"}},
                }
            },
        ),
        "$defs.y.items.$ref",
        "contains itself",
        False,
    ),
]


@pytest.mark.parametrize(("schema", "place", "words", "only_claude"), FAULTS)
def test_each_fault_is_found_at_its_place(
    schema: dict[str, Any], place: str, words: str, only_claude: bool
) -> None:
    """For the models that have it."""
    for rules, is_fault in ((CLAUDE, True), (OPEN_WEIGHT, not only_claude)):
        found = [f for f in schema_faults(schema, rules) if f.place == place and words in f.message]
        assert len(found) == is_fault


@pytest.mark.parametrize("rules", [CLAUDE, OPEN_WEIGHT])
def test_what_is_supported_is_no_fault(rules: SchemaRules) -> None:
    """All that the page lists; members may have the names of keywords; a definition twice."""
    members = {
        "minimum": {"type": ["string", "null"], "format": "date"},
        "maxItems": {"type": "array", "items": {"enum": ["a", 1, None, True]}, "minItems": 1},
        "properties": {"const": "x"},
        "a": {"$ref": "#/$defs/d"},
        "b": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
    }
    schema = {**CLOSED, "properties": members, "required": [*members]}
    assert schema_faults({**schema, "$defs": {"d": CLOSED}}, rules) == []


@pytest.mark.parametrize(("unions", "optional"), [(16, 24), (17, 24), (16, 25)])
def test_claude_takes_a_number_of_unions_and_of_optional_properties(
    unions: int, optional: int
) -> None:
    """16 and 24, wherever in the schema."""
    inner = {
        **CLOSED,
        "properties": {f"u{i}": {"type": ["string", "null"]} for i in range(unions)},
        "required": [f"u{i}" for i in range(unions)],
    }
    schema = {
        **CLOSED,
        "properties": {"inner": inner, **{f"o{i}": {"type": "null"} for i in range(optional)}},
        "required": ["inner"],
    }
    faults = schema_faults(schema, CLAUDE)
    assert len(faults) == (unions > 16) + (optional > 24)
    assert all(f.place == "" and "at most" in f.message for f in faults)
    assert schema_faults(schema, OPEN_WEIGHT) == []


SIMPLE = st.sampled_from(["string", "boolean", "int", "double", "date", "timestamp"]).map(Kind)


def struct_of(kinds: list[Kind]) -> Kind:
    return Kind(STRUCT, fields=tuple(Field(f"f{i}", k, True) for i, k in enumerate(kinds)))


KINDS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map(lambda kind: Kind(ARRAY, kind)),
        st.lists(inner, min_size=1, max_size=3).map(struct_of),
    ),
    max_leaves=8,
)


@given(st.lists(KINDS, min_size=1, max_size=6))
def test_the_schema_of_columns_without_maps_has_no_fault(kinds: list[Kind]) -> None:
    """Whatever the columns."""
    fields = tuple(Field(f"c{i}", kind, True) for i, kind in enumerate(kinds))
    schema = schema_of_columns(fields)
    assert schema_faults(schema, CLAUDE) == schema_faults(schema, OPEN_WEIGHT) == []


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
BAD = with_member({"type": "number", "minimum": 0})


@pytest.mark.parametrize(
    ("model", "request_", "places"),
    [
        (HAIKU, {"prompt": "{{ a }}", "schema": BAD}, "request.schema.properties.a.minimum"),
        (
            HAIKU,
            {
                "prompt": "{{ a }}",
                "tools": [{"name": "t", "input_schema": BAD, "strict": True}],
            },
            "request.tools[0].input_schema.properties.a.minimum",
        ),
        ("qwen.qwen3-32b-v1:0", {"prompt": "{{ a }}", "schema": BAD}, "request.schema.properties"),
        (
            "qwen.qwen3-32b-v1:0",
            {"body": {"prompt": "{{ a }}", "response_format": {"json_schema": {"schema": BAD}}}},
            "request.body.response_format.json_schema.schema.properties.a.minimum",
        ),
        (
            "anthropic.claude-opus-4-7",
            {"body": {"x": "{{ a }}", "output_config": {"format": {"schema": {}}}}},
            "request.body.output_config.format: this model takes none",
        ),
    ],
)
def test_the_linter_names_the_key_of_the_config(
    model: str, request_: dict[str, Any], places: str
) -> None:
    """That of `request`, or that of the body which the user wrote."""
    request_ = {"max_tokens": 9, **request_} if "prompt" in request_ else request_
    config = make_config(model={"id": model}, request=request_)
    findings = [str(f) for f in lint(config) if f.rule == "schema"]
    assert len(findings) == 1
    assert places in findings[0]


def test_all_faults_of_a_schema_are_named_at_once() -> None:
    """Equal ones by their places, the others behind them."""
    member = {"type": "number", "minimum": 0}
    schema = {**CLOSED, "properties": {"a": member, "b": member, "c": {"$ref": "#"}}}
    request = {"prompt": "{{ a }}", "max_tokens": 9, "schema": schema}
    (finding,) = lint(make_config(model={"id": HAIKU}, request=request))
    assert str(finding).startswith(
        "request.schema.properties.a.minimum, request.schema.properties.b.minimum: is not supported"
    )
    assert "; also: schema.properties.c.$ref: contains itself" in str(finding)


def test_a_tool_that_is_not_strict_takes_every_schema() -> None:
    """No grammar is made of it."""
    request = {
        "prompt": "{{ a }}",
        "max_tokens": 9,
        "tools": [{"name": "t", "input_schema": BAD}],
    }
    assert lint(make_config(model={"id": HAIKU}, request=request)) == []


@pytest.mark.parametrize("kind", ["enabled", "adaptive", "disabled"])
def test_claude_cannot_think_if_a_tool_must_be_called(kind: str) -> None:
    """Reported for Bedrock: a 400 for every record."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "{{ a }}"}],
        "thinking": {"type": kind},
        "tools": [{"name": "t", "input_schema": BAD}],
        "tool_choice": {"type": "any"},
    }
    found = [f.rule for f in lint(make_config(model={"id": HAIKU}, request={"body": body}))]
    assert ("forced-tool" in found) == (kind != "disabled")
