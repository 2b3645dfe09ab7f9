"""Spark DDL without Spark: what it reads, it writes; what it cannot read, it names."""

from __future__ import annotations

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import parse_ddl, quoted


@pytest.mark.parametrize(
    ("text", "read"),
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
def test_columns_are_read(text: str, read: str) -> None:
    """In any case, with any space, with and without colons; NOT NULL is kept apart."""
    fields = parse_ddl(text)
    assert ", ".join(f"`{f.name}` {f.kind.ddl}" for f in fields) == read
    assert [f.name for f in fields if f.required] == (["a"] if "not null" in text else [])
    again = ", ".join(f"{quoted(f.name)} {f.kind.ddl}" for f in fields)
    assert [f.kind for f in parse_ddl(again)] == [
        f.kind for f in parse_ddl(text.replace("not null", ""))
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks a column's name at its end"),
        ("a", "lacks a type at its end"),
        ("a int b int", "lacks a comma before 'b'"),
        ("a int,", "lacks a column's name at its end"),
        ("a decimal(10,2)", "has the type decimal, which answers cannot be read as: string, "),
        ("a array<int", "lacks > at its end"),
        ("a map<int,int>", "lacks string before 'int'"),
        ("a int, A string", "names the column a twice"),
        ("a int; drop", "cannot be read at '; drop'"),
        ("a int not", "lacks null at its end"),
    ],
)
def test_what_is_not_understood_is_named(text: str, told: str) -> None:
    """With the place where it stands."""
    with pytest.raises(ConfigError) as raised:
        parse_ddl(text)
    assert str(raised.value).startswith(told)
