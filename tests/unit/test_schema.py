"""Spark DDL without Spark: it writes the types that it reads, and names a part it cannot parse."""

from __future__ import annotations

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import Field, parse_ddl, quote_name


@pytest.mark.parametrize(
    ("text", "ddl"),
    [
        ("label string", "`label` string"),
        ("a INT,b Long , c real", "`a` int, `b` bigint, `c` float"),
        ("a: int not null, `b c``d` string", "`a` int, `b c`d` string"),
        ("größe double", "`größe` double"),
        (
            "a array<struct<b:int, c: array<string>>>",
            "`a` array<struct<`b`:int,`c`:array<string>>>",
        ),
        ("m map<string, date>, t timestamp", "`m` map<string,date>, `t` timestamp"),
    ],
)
def test_columns_are_parsed(text: str, ddl: str) -> None:
    """In any case, with any white space, with and without colons. NOT NULL is not in the type."""
    fields = parse_ddl(text)
    assert ", ".join(f"`{f.name}` {f.kind.ddl}" for f in fields) == ddl
    assert [f.name for f in fields if f.required] == (["a"] if "not null" in text else [])
    again = ", ".join(f"{quote_name(f.name)} {f.kind.ddl}" for f in fields)
    assert [f.kind for f in parse_ddl(again)] == [
        f.kind for f in parse_ddl(text.replace("not null", ""))
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks a column's name at its end"),
        ("a", "lacks a type at its end"),
        ("a int b int", "lacks a comma before 'b'"),
        ("a int,", "lacks a column's name at its end"),
        (
            "a decimal(10,2)",
            "has the type decimal, which answers cannot be read as; use one of string, ",
        ),
        ("a array<int", "lacks > at its end"),
        ("a map<int,int>", "lacks string before 'int'"),
        ("a int, A string", "names the column a twice"),
        ("a int; drop", "cannot be read at '; drop'"),
        ("a int not", "lacks null at its end"),
    ],
)
def test_a_part_that_cannot_be_parsed_is_named(text: str, message: str) -> None:
    """The message shows the place."""
    with pytest.raises(ConfigError) as raised:
        parse_ddl(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "comments"),
    [
        ("a string COMMENT 'b, c'", ["b, c"]),
        ('a string NOT NULL comment "it\'s", b int', ["it's", ""]),
        ("a string COMMENT 'it''s', comment int COMMENT 'x\\'y\\nz'", ["it's", "x'y\nz"]),
        ("a array<struct<b: int COMMENT 'inner'>> COMMENT 'outer'", ["outer"]),
    ],
)
def test_a_column_may_have_a_comment(text: str, comments: list[str]) -> None:
    """It describes the column, and changes nothing else of it: columns are equal without it."""
    fields = parse_ddl(text)
    assert [field.comment for field in fields] == comments
    assert fields == tuple(Field(f.name, f.kind, f.required) for f in fields)
    assert "COMMENT" not in repr(fields)


def test_a_field_of_a_struct_may_have_a_comment() -> None:
    """Behind its type, as Spark has it."""
    (field,) = parse_ddl("a array<struct<b: int COMMENT 'inner', c: date>> COMMENT 'outer'")
    assert field.kind.item is not None
    assert [inner.comment for inner in field.kind.item.fields] == ["inner", ""]
    assert field.kind.ddl == "array<struct<`b`:int,`c`:date>>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a string COMMENT", "lacks a text in quotes after COMMENT at its end"),
        ("a string COMMENT b", "lacks a text in quotes after COMMENT before 'b'"),
        ("a 'b'", "lacks a type before 'b'"),
        ("a string COMMENT 'b", "cannot be read at"),
    ],
)
def test_a_comment_that_is_no_text_is_refused(text: str, message: str) -> None:
    """The message names the place."""
    with pytest.raises(ConfigError, match=message):
        parse_ddl(text)
