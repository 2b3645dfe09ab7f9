"""Answers as columns: an answer gives values or a reason why it does not fit; no guesses."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.parse import AnswerParser, Parsed
from bedrock_spark.schema import parse_ddl

TICKET = "label string NOT NULL, score double, tags array<string>"
GOOD = '{"label": "bug", "score": 0.5, "tags": ["a"], "more": 1}'
BROKEN = "the answer's JSON is cut off, broken or nested too deeply"
READ = ("bug", 0.5, ["a"])


def parse_answer(ddl: str, text: str | None = None, tool_input: str | None = None) -> Parsed:
    """Read an answer of this text, or of this tool call, as the columns `ddl`."""
    return AnswerParser(parse_ddl(ddl)).parse(Answer(text=text, tool_input=tool_input))


def read_value(kind: str, value: Any) -> Any:
    """Read one value as a type; return it, or the reason why it does not fit."""
    parsed = parse_answer(f"v {kind}", json.dumps({"v": value}))
    return parsed.reason if parsed.values is None else parsed.values[0]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Sure! Here it is:\n```JSON\r\n{GOOD}\r\n```\nAnything else?",
        f"Sure, here it is: {GOOD} Anything else?",
        f"With {{braces}} and [brackets]: {GOOD}",
        f"```python\nprint(1)\n```\n```json\n{GOOD}\n```",
        f"<json>{GOOD}</json>",
        f"[{GOOD}]",
        f"Here: [{GOOD}]",
        f"```json\n[{GOOD}]\n```",
        f'{{"answer": {GOOD}}}',
        f'{{"answer": [{{"is": {GOOD}}}]}} is it',
        f"{{{GOOD}}}",
        f"[see {GOOD}]",
        f'The note spells out {{"oops}} somewhere.\n{GOOD}',
        f'The note spells out {{"a": 1, "oops}} somewhere.\n{GOOD}',
        f'You sent {{"ticket": 7}}. {GOOD}',
        f'Ticket {{"ticket": {{"id": 7}}}} is answered by: {GOOD} Regards {{"x',
        f'```json\n{{"ticket": 7}}\n```\nAnd so\n{GOOD}',
        f'Candidates: [{{"name": "a"}}, {{"name": "b"}}]\n{GOOD}',
        f"He said [1, 2 and {GOOD}",
        f'"{GOOD}',
        '{"label": "bug", "score": "0.5", "tags": ["a",],}',
        'It is {"label": "bug", "score": 5e-1, "tags": [\n"a"\n]\n, }',
    ],
)
def test_the_json_object_of_an_answer_is_found(text: str) -> None:
    """It may be the whole text, in a fenced block, in another value, or have words around it."""
    assert parse_answer(TICKET, text) == Parsed(READ)


def test_a_tool_call_is_tried_before_the_text() -> None:
    """The request asked for the tool call; if its input has no column, the text is read."""
    assert parse_answer(TICKET, '{"label": "text"}', GOOD) == Parsed(READ)
    assert parse_answer(TICKET, GOOD, "{}") == Parsed(READ)
    assert parse_answer(TICKET, None, GOOD) == Parsed(READ)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "the answer has no text"),
        (" \n", "the answer has no text"),
        ("SECRET", "the answer holds no JSON object"),
        ("null", "the answer holds no JSON object"),
        ("[[1], {}]", "the answer's JSON has none of the columns"),
        (f"<think>{GOOD}</think>", "the answer's JSON is inside its reasoning"),
        ('{"label": 7, "old": {"label": "x"}}', "label: is a number, not a string (string)"),
        ('"SECRET"', "the answer holds no JSON object"),
        ("{}", "the answer's JSON has none of the columns"),
        ('{"SECRET": 1}', "the answer's JSON has none of the columns"),
        (GOOD[:-3], BROKEN),
        ('{"SECRET": {"label": "x"}', BROKEN),
        ('{"label": NaN}', "label: is a number, not a string (string)"),
        ('{"label": ' + 100_000 * "[", BROKEN),
        ('{"label": ' + "9" * 9_000 + "}", BROKEN),
        ('{"label": null, "score": 1}', "label: is null"),
        ('{"score": 1}', "label: is missing"),
        ('{"label": 7}', "label: is a number, not a string (string)"),
        ('{"label": "x", "score": "SECRET"}', "score: is a string, not a number (double)"),
        ('{"label": "x", "tags": "SECRET"}', "tags: is a string, not an array (array)"),
        ('{"label": "x", "tags": ["a", {}]}', "tags[1]: is an object, not a string (string)"),
    ],
)
def test_a_reason_shows_nothing_of_the_answer(text: str | None, reason: str) -> None:
    """Results and reports show the reason, so it names only columns and types."""
    assert parse_answer(TICKET, text) == Parsed(None, reason)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "", ""),
        ("string", None, None),
        ("boolean", True, True),
        ("boolean", 1, "v: is a number, not a boolean (boolean)"),
        ("int", 3, 3),
        ("int", 3.0, 3),
        ("int", 3.5, "v: is a number, not a whole number (int)"),
        ("int", True, "v: is a boolean, not a whole number (int)"),
        ("int", "3", 3),
        ("bigint", " -30 ", -30),
        ("int", "3.5", "v: is a number, not a whole number (int)"),
        ("int", "03", "v: is a string, not a whole number (int)"),
        ("int", "three", "v: is a string, not a whole number (int)"),
        ("int", "9" * 500, "v: is a string, not a whole number (int)"),
        ("double", "1e-3", 0.001),
        ("double", "1,000", "v: is a string, not a number (double)"),
        ("double", "1e999", "v: is a number too large for double"),
        ("int", float("nan"), "v: is a number, not a whole number (int)"),
        ("double", float("inf"), "v: is a number too large for double"),
        ("int", 2**31, "v: is a number too large for int"),
        ("tinyint", -128, -128),
        ("smallint", 40_000, "v: is a number too large for smallint"),
        ("bigint", 2**63 - 1, 2**63 - 1),
        ("bigint", 1e300, "v: is a number too large for bigint"),
        ("double", 3, 3.0),
        ("double", True, "v: is a boolean, not a number (double)"),
        ("double", 10**400, "v: is a number too large for double"),
        ("float", 1e300, "v: is a number too large for float"),
        ("float", 0.5, 0.5),
        ("date", "2026-11-22", dt.date(2026, 11, 22)),
        ("date", "22.11.2026", "v: is a string, not a date like 2026-11-22"),
        ("date", "2026-11-22T00:00", "v: is a string, not a date like 2026-11-22"),
        ("timestamp", "2026-11-22T10:30:00Z", dt.datetime(2026, 11, 22, 10, 30, tzinfo=dt.UTC)),
        ("timestamp", "2026-11-22 10:30", dt.datetime(2026, 11, 22, 10, 30, tzinfo=dt.UTC)),
        (
            "timestamp",
            "2026-11-22T10:30:00+02:00",
            dt.datetime(2026, 11, 22, 8, 30, tzinfo=dt.UTC),
        ),
        (
            "timestamp",
            "0001-01-01T00:00:00+09:00",
            "v: is a string, not a timestamp like 2026-11-22T10:30:00Z",
        ),
        ("array<int>", [1, None, 2], [1, None, 2]),
        ("array<array<double>>", [[1], []], [[1.0], []]),
        ("map<string,int>", {"a": 1, "b": None}, [("a", 1), ("b", None)]),
        ("map<string,int>", {"SECRET": "x"}, "v[…]: is a string, not a whole number (int)"),
        ("struct<a:int,b:string>", {"a": 1}, {"a": 1, "b": None}),
        ("struct<a:int NOT NULL>", {"b": 1}, "v.a: is missing"),
        ("struct<a:int>", [], "v: is an array, not an object (struct)"),
        (
            "array<struct<a:int>>",
            [{"a": 1}, {"a": "x"}],
            "v[1].a: is a string, not a whole number (int)",
        ),
    ],
)
def test_values_are_read_by_type(kind: str, value: Any, expected: Any) -> None:
    """A value needs the JSON type of its column. 3 fits a double, too, and 3.0 fits an int."""
    value_or_reason = read_value(kind, value)
    assert value_or_reason == expected
    assert type(value_or_reason) is type(expected)


def test_nan_is_a_number_of_a_floating_point_column() -> None:
    """Spark's columns hold it, and models write it."""
    for kind in ("float", "double"):
        assert math.isnan(read_value(kind, float("nan")))


def test_raw_line_breaks_inside_strings_are_read() -> None:
    """JSON forbids them, models write them. The text is kept as it is."""
    for around in ("{}", "Here: {} ."):
        text = around.replace("{}", '{"label": "one\n\ttwo"}')
        assert parse_answer("label string", text) == Parsed(("one\n\ttwo",))


def test_half_a_character_in_an_answer_is_replaced() -> None:
    """By the replacement character, because no column can hold half a character."""
    assert parse_answer("label string", r'{"label": "x\ud83d"}') == Parsed(("x\ufffd",))
    assert parse_answer("label string", r'{"label": "\ud83d\ude00"}') == Parsed(("\U0001f600",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["label", "score", "tags", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON, st.text(max_size=8), st.text(max_size=8))
def test_every_answer_has_values_or_a_reason(value: Any, before: str, after: str) -> None:
    """Exactly one of the two, for any text, and no error is raised."""
    parsed = parse_answer(TICKET, before + json.dumps(value) + after)
    assert (parsed.values is None) != (parsed.reason is None)
    if parsed.values is not None:
        label, score, tags = parsed.values
        assert isinstance(label, str)
        assert score is None or type(score) is float
        assert tags is None or all(t is None or isinstance(t, str) for t in tags)


# What models write, the columns, and the values or the reason.
WRITTEN: list[tuple[str, str, Any]] = [
    ('```json\n{"a": 1}\n```', "a int", (1,)),
    ('Sure! Here it is:\n{"a": 1}\nAnything else?', "a int", (1,)),
    ('{"a": 1}\n{"a": 2}', "a int", (2,)),
    ('{"a": 1}\n{"a": "x"}', "a int", (1,)),
    ('[{"a": 1}, {"a": 2}]', "a int", (2,)),
    ('{"result": {"a": 1}}', "a int", (1,)),
    ('{"a": "3", "b": "0.5", "c": " 4 "}', "a int, b double, c bigint", (3, 0.5, 4)),
    ('{"a": "1,000"}', "a int", "a: is a string, not a whole number (int)"),
    ('{"a": 3.5}', "a int", "a: is a number, not a whole number (int)"),
    ('{"a": Infinity}', "a double", "a: is a number too large for double"),
    ('{"a": "Infinity"}', "a double", "a: is a string, not a number (double)"),
    ('{"a": "true", "b": "FALSE", "c": true}', "a boolean, b boolean, c boolean", (True, False, 1)),
    ('{"a": "yes"}', "a boolean", "a: is a string, not a boolean (boolean)"),
    ('{"a": 1}', "a boolean", "a: is a number, not a boolean (boolean)"),
    ('{"a": "[1, 2]"}', "a array<int>", ([1, 2],)),
    ('{"a": "{\\"b\\": [\\"3\\"]}"}', "a struct<b: array<int>>", ({"b": [3]},)),
    ('{"a": "{\\"b\\": 1}"}', "a map<string, int>", ([("b", 1)],)),
    ('{"a": "[\\"\\\\ud800\\"]"}', "a array<string>", (["\ufffd"],)),
    ('{"a": "[1, 2"}', "a array<int>", "a: is a string, not an array (array)"),
    ('{"a": "{}"}', "a array<int>", "a: is a string, not an array (array)"),
    ('{"a": {"b": [{"c": 1}, {"c": "x"}]}}', "a struct<b: array<struct<c: int>>>",
     "a.b[1].c: is a string, not a whole number (int)"),
    ('{"a": {}}', "a struct<b: int NOT NULL>", "a.b: is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "columns", "expected"), WRITTEN)
def test_what_models_really_write_is_read(text: str, columns: str, expected: Any) -> None:
    """In the text, and as the input of a tool. What does not fit names its place and the reason."""
    parser = AnswerParser(parse_ddl(columns))
    is_whole = text.startswith(("{", "[")) and "\n" not in text
    for answer in [Answer(text=text), *[Answer(text="", tool_input=text)] * is_whole]:
        parsed = parser.parse(answer)
        assert (parsed.values if parsed.values is not None else parsed.reason) == expected
