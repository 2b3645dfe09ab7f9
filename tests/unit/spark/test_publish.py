"""Publishing the results: the rules that need no Spark."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.spark.publish import merge_statement
from tests.unit.fakes import make_config


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (
            {"mode": "merge", "path": "p"},
            r"needs a format that can \(delta or iceberg\)",
        ),
        ({"mode": "merge", "format": "iceberg", "path": "p"}, "mode merge needs a table"),
        ({"mode": "upsert"}, "results.mode"),
    ],
)
def test_the_config_refuses_a_mode_that_cannot_work(results: Any, message: str) -> None:
    """The error is raised when the config is parsed, before anything is paid for."""
    with pytest.raises(ConfigError, match=message):
        make_config(results=results)


def test_merging_needs_a_key() -> None:
    """Rows of the results and of the target are matched by it."""
    results = {"mode": "merge", "format": "delta", "path": "p"}
    assert make_config(results=results).results.mode == "merge"
    with pytest.raises(ConfigError, match=r"results.mode: merge needs source.key"):
        make_config(results=results, source={"key": []})


def case(side: str) -> str:
    whens = "WHEN 'ok' THEN 0 WHEN 'invalid' THEN 1 WHEN 'truncated' THEN 2 WHEN 'refused' THEN 3"
    return f"CASE {side}.outcome {whens} ELSE 4 END"


def test_the_merge_compares_all_key_columns() -> None:
    """Column names are quoted, and two nulls are equal."""
    columns = ["a", "b `c`", "text"]
    assert merge_statement("delta.`p`", "v", ("a", "b `c`"), columns) == (
        "MERGE INTO delta.`p` AS t USING v AS s ON t.`a` <=> s.`a` AND t.`b ``c``` <=> s.`b ``c``` "
        f"WHEN MATCHED AND {case('s')} <= {case('t')} "
        "THEN UPDATE SET t.`a` = s.`a`, t.`b ``c``` = s.`b ``c```, t.`text` = s.`text` "
        "WHEN NOT MATCHED THEN INSERT (`a`, `b ``c```, `text`) "
        "VALUES (s.`a`, s.`b ``c```, s.`text`)"
    )


# Outcomes with an answer come first; an outcome that nobody has heard of is no answer.
ANSWERED = {"ok": 4, "invalid": 3, "truncated": 2, "refused": 1}
RANKS = {**ANSWERED, **dict.fromkeys(("error", "missing", "unfound", "other"), 0)}


@pytest.mark.parametrize("old", [*RANKS, None])
@pytest.mark.parametrize("new", RANKS)
def test_a_merge_never_replaces_an_answer_by_less(new: str, old: str | None) -> None:
    """The condition of the statement, evaluated by another SQL engine for every pair."""
    condition = (
        merge_statement("x", "v", ("id",), ["id"])
        .split("WHEN MATCHED AND ")[1]
        .split(" THEN UPDATE")[0]
    )
    query = f"SELECT {condition} FROM (SELECT ? AS outcome) s, (SELECT ? AS outcome) t"
    (is_replaced,) = sqlite3.connect(":memory:").execute(query, (new, old)).fetchone()
    assert bool(is_replaced) is (RANKS[new] >= (RANKS[old] if old else 0))
