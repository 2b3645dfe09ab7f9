"""Conditions in SQL: the same rows as SQLite, and clear refusals."""

from __future__ import annotations

import datetime as dt
import pickle
import sqlite3

import pyarrow as pa
import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.where import parse_where

ROWS = [
    {"id": 1, "label": "a", "score": 0.5, "text": "It's late", "odd name": None},
    {"id": 2, "label": "b", "score": None, "text": "  A_b%", "odd name": 7},
    {"id": 3, "label": None, "score": -2.0, "text": None, "odd name": 0},
    {"id": 4, "label": "A", "score": 3.0, "text": "", "odd name": None},
    {"id": 5, "label": "c", "score": 3.5, "text": "ümlaut", "odd name": 5},
]
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("label", pa.string()),
        ("score", pa.float64()),
        ("text", pa.string()),
        ("odd name", pa.int32()),
    ]
)
BATCH = pa.RecordBatch.from_pylist(ROWS, SCHEMA)


def name_of(name: str) -> str:
    if name not in SCHEMA.names:
        raise ConfigError(f"--where {name}: no such column")
    return name


def ids(where: str) -> list[int]:
    condition = pickle.loads(pickle.dumps(parse_where(where, name_of)))
    chosen: list[int] = BATCH.filter(condition.holds(BATCH)).column(0).to_pylist()
    return chosen


@pytest.mark.parametrize(
    "where",
    [
        "label = 'a'",
        "label <> 'a'",
        "NOT label = 'a'",
        "NOT NOT label = 'a'",
        "label IS NULL OR score >= 3",
        "label is not null and score < 3",
        "label = 'a' OR label = 'b' AND score > 1",
        "(label = 'a' OR label = 'b') AND score > 1",
        "label IN ('a', 'b', 'x')",
        "label NOT IN ('a', 'b')",
        "label IN ('a', NULL)",
        "label NOT IN ('a', NULL)",
        "score BETWEEN -2 AND 0.5",
        "score NOT BETWEEN -2 AND 0.5",
        "id = score + 0".replace(" + 0", ""),
        "id > `odd name`",
        "`odd name` >= 5 OR id = 3",
        "text LIKE '%late'",
        "text NOT LIKE '_m%'",
        "text = 'It''s late'",
        "length(text) > 2",
        "length(trim(text)) = 4",
        "lower(label) = 'a'",
        "upper(label) IN ('A', 'B')",
        "score = -2.0",
        "score > 1e0",
        "label = NULL",
        "NULL",
        "TRUE",
        "NOT FALSE AND id <= 2",
        "3 < id",
    ],
)
def test_the_rows_are_those_of_sqlite(where: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA case_sensitive_like = ON")
    database.execute('CREATE TABLE t (id INT, label TEXT, score REAL, text TEXT, "odd name" INT)')
    database.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [[*r.values()] for r in ROWS])
    expected = [row[0] for row in database.execute(f"SELECT id FROM t WHERE {where} ORDER BY id")]
    assert ids(where) == expected


def test_times_days_and_what_is_true() -> None:
    schema = pa.schema(
        [("at", pa.timestamp("us", "UTC")), ("day", pa.date32()), ("flag", pa.bool_())]
    )
    rows = [
        {"at": dt.datetime(2026, 11, day, 12, tzinfo=dt.UTC), "day": dt.date(2026, 11, day)}
        for day in (1, 2, 3)
    ]
    batch = pa.RecordBatch.from_pylist(
        [{**row, "flag": flag} for row, flag in zip(rows, (True, False, None), strict=True)], schema
    )

    def found(where: str) -> list[bool]:
        holds: list[bool] = parse_where(where, str).holds(batch).to_pylist()
        return holds

    assert found("at >= '2026-11-02'") == [False, True, True]
    assert found("at < '2026-11-02T14:00:00+02:00'") == [True, False, False]
    assert found("day = '2026-11-02'") == [False, True, False]
    assert found("flag") == [True, False, False]
    assert found("NOT flag") == [False, True, False]
    assert found("flag = true AND day > '2026-10-01'") == [True, False, False]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "ends too early"),
        ("label =", "ends too early"),
        ("label = 'a", 'cannot be read from "\'a" on'),
        ("label = 'a' AND", "ends too early"),
        ("label = 'a' score", "has 'score' where it should end"),
        ("(label = 'a'", "ends too early"),
        ("label LIKE score", "LIKE without a text"),
        ("label NOT = 'a'", "NOT without IN, BETWEEN or LIKE"),
        ("sqrt(score) > 1", r"has the function sqrt\(\)"),
        ("length(score) > 1", r"length\(\) needs a text, and was given double"),
        ("score LIKE 'a'", "LIKE needs a text"),
        ("label > 3", "a text and a number cannot be compared; write it in"),
        ("score = 'many'", "'many' is no double"),
        ("id", "a value of type int64 is neither true nor false"),
        ("none = 1", "no such column"),
        ("label = 'a'; DROP TABLE t", "cannot be read from"),
        ("(" * 60 + "id = 1" + ")" * 60, "is nested more than"),
        ("lower(" * 60 + "label" + ")" * 60 + " = 'a'", "is nested more than"),
        ("id = 1e99999999999999999999999", "whose exponent is too large"),
        ("id = '1_0'", "'1_0' is no int64"),
        ("id = 'NaN'", "'NaN' is no int64"),
        ("id = true", "int64 and true or false cannot be compared"),
        ("id IN (1, 'many')", "'many' is no int64"),
        ("label IN ('a', 3)", "a text and a number cannot be compared"),
        ("3 = 'x'", "'x' is not a number"),
        ("id = label", "int64 and string cannot be compared"),
        ("id IN (" + "1, " * 9_000 + ")", "^--where .{200}…: has"),
        ("label IN 'a'", r"has \"'a'\" where \( should be"),
    ],
)
def test_what_is_no_condition_is_refused(where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ids(where)
