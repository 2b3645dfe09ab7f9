"""Why rows are asked, counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.answers.lookup import NEW, NOT_ACCEPTED, OTHER_REQUEST, TOO_OLD
from bedrock_spark.planning.earlier import (
    MODEL_CHANGED,
    PROMPT_CHANGED,
    SOURCE_CHANGED,
    Change,
    EarlierRun,
)
from bedrock_spark.planning.why import why_all, why_unknown
from bedrock_spark.run_folder.prepared import KnownKeys
from tests.unit.fakes import make_config

STORE = "s3://lake/answers"
CONFIG = make_config(answers={"uri": STORE})
KEEPING = EarlierRun(
    "s3://bucket/was", "", {"config": {"answers": {"uri": STORE, "mode": "read_write"}}}, None, None
)
EARLIER = replace(KEEPING, description={"config": {}})
PROMPT, MODEL = Change(PROMPT_CHANGED, "p"), Change(MODEL_CHANGED, "m")
SOURCE = Change(SOURCE_CHANGED, "s")

# What the lookup counts, the rows with a known key that had an answer or none, what has changed;
# and what is said.
CASES: dict[str, tuple[dict[str, int], tuple[int, int] | None, list[Change], dict[str, int]]] = {
    "the next day": ({NEW: 70}, (10, 0), [SOURCE], {"new rows": 60, "rows changed": 10}),
    "rows that failed": (
        {NEW: 70},
        (10, 5),
        [],
        {"new rows": 55, "rows changed": 10, "not kept by the last run": 5},
    ),
    "another prompt": ({NEW: 70}, (8, 2), [PROMPT], {"new rows": 60, "prompt changed": 10}),
    "another model": (
        {OTHER_REQUEST: 9, NEW: 1},
        (9, 0),
        [MODEL],
        {"model changed": 9, "new rows": 1},
    ),
    "another model of another family": ({NEW: 9}, (9, 0), [MODEL], {"model changed": 9}),
    "both": ({NEW: 9}, (9, 0), [PROMPT, MODEL], {"prompt changed and model changed": 9}),
    "another schema": (
        {OTHER_REQUEST: 9},
        (9, 0),
        [],
        {"kept for another model, schema or guardrail": 9},
    ),
    "old answers": (
        {TOO_OLD: 5, NOT_ACCEPTED: 3, NEW: 7},
        (9, 0),
        [],
        {"new rows": 6, "kept answer too old": 5, "kept answer not accepted": 3, "rows changed": 1},
    ),
    "old answers of rows that failed": (
        {TOO_OLD: 5, NEW: 7},
        (2, 4),
        [],
        {"new rows": 6, "kept answer too old": 5, "not kept by the last run": 1},
    ),
    "old answers of keys that the last run had not": (
        {TOO_OLD: 5, NEW: 7},
        (3, 0),
        [],
        {"new rows": 7, "kept answer too old": 5},
    ),
    "no keys": ({NEW: 7}, None, [], {"new or changed rows": 7}),
    "no keys, and another prompt": ({NEW: 7}, None, [PROMPT], {"prompt changed": 7}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_row_that_is_asked_has_a_reason(name: str) -> None:
    """The most frequent one is first, and their numbers add up."""
    asked, counts, changes, said = CASES[name]
    known = None if counts is None else KnownKeys(*counts)
    found = why_unknown(asked, known, CONFIG, KEEPING, changes)
    assert {why.reason: why.rows for why in found} == said
    assert [why.rows for why in found] == sorted(said.values(), reverse=True)
    assert sum(why.rows for why in found) == sum(asked.values())


@pytest.mark.parametrize(
    "kept",
    [None, {"uri": "s3://other", "mode": "read_write"}, {"uri": STORE, "mode": "read"}],
)
def test_a_run_that_kept_nothing_here_says_nothing_of_changed_rows(kept: Any) -> None:
    earlier = replace(KEEPING, description={"config": {"answers": kept}})
    (why,) = why_unknown({NEW: 7}, KnownKeys(7, 0), CONFIG, earlier, [])
    assert (why.reason, why.rows) == ("not kept by the last run", 7)


def test_all_rows_of_a_first_run_are_new() -> None:
    (why,) = why_unknown({NEW: 3}, None, CONFIG, None, [])
    assert (why.reason, why.rows) == ("new rows", 3)


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        (None, "answers.uri is not set, so a new run asks everything"),
        ({"mode": "refresh"}, "answers.mode is refresh, so a new run asks everything"),
        ({"mode": "off"}, "answers.mode is off, so a new run asks everything"),
    ],
)
def test_without_a_lookup_the_config_is_the_reason(
    answers: dict[str, Any] | None, detail: str, tmp_path: Path
) -> None:
    sections = {} if answers is None else {"answers": {"uri": str(tmp_path / "kept"), **answers}}
    config = make_config(str(tmp_path / "run"), **sections)
    (why,) = why_all(7, config, EARLIER, [SOURCE])
    assert (why.reason, why.rows, why.detail) == ("no answers are kept", 7, detail)
    assert why_all(7, config, EARLIER, [PROMPT])[0].reason == "prompt changed"
    assert why_all(7, config, None, []) == why_all(0, config, EARLIER, [PROMPT]) == []
