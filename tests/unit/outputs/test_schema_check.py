"""Answers against a JSON Schema: what fits, and place and reason of what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedrock_spark.families import family_by_name
from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.parse import AnswerParser
from bedrock_spark.schema import parse_ddl

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "kind": {"enum": ["spam", "ham"]},
        "more": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "price": {"type": ["number", "null"]},
                    "at": {"type": "string", "format": "date"},
                },
                "required": ["price"],
                "additionalProperties": False,
            },
        },
        "by_name": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
    "required": ["name", "items"],
    "additionalProperties": False,
}
GOOD = {"name": "x", "kind": "ham", "more": None, "items": [{"price": 1.5, "at": "2026-11-22"}]}
SECRET = "SECRET"


def parse(text: str, tool_input: str | None = None, columns: str = "") -> tuple[Any, str | None]:
    fields = parse_ddl(columns) if columns else ()
    parsed = AnswerParser(fields, SCHEMA).parse(Answer(text=text, tool_input=tool_input))
    return parsed.values, parsed.reason


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"Here it is:\n```json\n{json.dumps(GOOD, indent=1)}\n```\nThat is all.",
        json.dumps({"answer": [{**GOOD, "name": 1}, GOOD]}),
        json.dumps({**GOOD, "name": 1}) + "\nNo, better: " + json.dumps(GOOD),
        f"<think>{json.dumps({'name': 5})}</think>{json.dumps(GOOD)}",
        json.dumps(GOOD)[:-1] + ", }",
    ],
)
def test_the_last_object_that_fits_the_schema_counts(text: str) -> None:
    """Whatever is around it, as with columns. Without columns there are no values."""
    assert parse(text) == ((), None)
    assert parse("", json.dumps(GOOD)) == ((), None)
    assert parse(text, columns="name string, more int") == (("x", None), None)


MISFITS: list[tuple[Any, str]] = [
    ({**GOOD, "name": 5}, "name: is a number, not string"),
    ({**GOOD, "name": None}, "name: is null, not string"),
    ({**GOOD, "name": ""}, "name: does not fit minLength"),
    ({"name": "x"}, "lacks items"),
    ({**GOOD, "kind": SECRET}, "kind: is none of the values of enum"),
    ({**GOOD, "more": SECRET}, "more: fits none of anyOf"),
    ({**GOOD, SECRET: 1}, "has a member that the schema does not have"),
    ({**GOOD, "items": {}}, "items: is an object, not array"),
    ({**GOOD, "items": [GOOD["items"], []]}, "items[0]: is an array, not object"),
    ({**GOOD, "items": [{"price": 1}, {"price": SECRET}]}, "items[1].price: is a string, not null"),
    ({**GOOD, "items": [{"price": True}]}, "items[0].price: is a boolean, not null or number"),
    ({**GOOD, "items": [{}]}, "items[0]: lacks price"),
    ({**GOOD, "items": [{"price": 1, "at": SECRET}]}, "items[0].at: does not fit format"),
    ({**GOOD, "by_name": {SECRET: 1}}, "by_name.…: is a number, not boolean"),
]


@pytest.mark.parametrize(("value", "reason"), MISFITS)
def test_a_reason_has_the_place_and_no_text_of_the_answer(value: Any, reason: str) -> None:
    """The first fault, in the text and in the input of a tool."""
    for found in (parse(json.dumps(value)), parse("", json.dumps(value))):
        assert found[0] is None
        assert (found[1] or "").startswith(reason)
        assert SECRET not in (found[1] or "")


@pytest.mark.parametrize("text", ["no JSON", '{"other": 1}', '{"name": "x"', "", "[1, 2]"])
def test_text_without_such_an_object_has_the_reasons_of_columns(text: str) -> None:
    """Nothing fits, and nothing is raised."""
    values, reason = parse(text)
    assert values is None
    assert reason


def test_numbers_and_depths_that_json_does_not_have_fit_or_not_and_raise_nothing() -> None:
    """NaN is no number of JSON; a number may be of any length; nesting may be deep."""
    text = '{"name": "x", "items": [{"price": NaN}]}'
    assert parse(text) == (None, "items[0].price: is a number, not null or number")
    assert parse('{"name": "x", "items": [{"price": 1' + "0" * 400 + "}]}") == ((), None)
    deep = '{"name": "x", "items": ' + "[" * 900 + "]" * 900 + "}"
    assert parse(deep)[0] is None


def test_columns_are_read_of_what_fits_the_schema() -> None:
    """Both are asked; a column may be narrower than the schema."""
    assert parse(json.dumps({**GOOD, "more": 300}), columns="more tinyint") == (
        None,
        "more: is a number too large for tinyint",
    )
    assert parse(json.dumps({**GOOD, "more": "3"}), columns="more tinyint") == (
        None,
        "more: fits none of anyOf",
    )


@pytest.mark.parametrize(("value", "ended"), [(GOOD, "ok"), ({"name": "x"}, "invalid")])
def test_the_judge_says_invalid_without_columns_too(value: Any, ended: str) -> None:
    """An answer is judged by the schema alone; one without any JSON is invalid."""
    judge = Judge(family_by_name("anthropic"), (), SCHEMA)
    assert judge.parses
    content = [{"type": "text", "text": json.dumps(value)}]
    output = {"content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 1}}
    assert judge(json.dumps(output).encode()).ended == ended
    call = [{"type": "tool_use", "name": "answer", "input": value}]
    assert judge(json.dumps({**output, "content": call}).encode()).ended == ended
    empty = judge(json.dumps({**output, "content": []}).encode())
    assert (empty.ended, empty.finding) == ("truncated", "empty")
