"""Why rows are asked, counted."""

from __future__ import annotations

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
from tests.unit.fakes import make_config

EARLIER = EarlierRun("s3://bucket/was", "", {}, None, None)
PROMPT, MODEL = Change(PROMPT_CHANGED, "p"), Change(MODEL_CHANGED, "m")
SOURCE = Change(SOURCE_CHANGED, "s")

# What the lookup counts, the rows with a known key, what has changed; and what is said.
CASES: dict[str, tuple[dict[str, int], int | None, list[Change], dict[str, int]]] = {
    "the next day": ({NEW: 70}, 10, [SOURCE], {"new rows": 60, "rows changed": 10}),
    "another prompt": ({NEW: 70}, 10, [PROMPT], {"new rows": 60, "prompt changed": 10}),
    "another model": ({OTHER_REQUEST: 9, NEW: 1}, 9, [MODEL], {"model changed": 9, "new rows": 1}),
    "another model of another family": ({NEW: 9}, 9, [MODEL], {"model changed": 9}),
    "both": ({NEW: 9}, 9, [PROMPT, MODEL], {"prompt changed and model changed": 9}),
    "another schema": (
        {OTHER_REQUEST: 9},
        9,
        [],
        {"kept for another model, schema or guardrail": 9},
    ),
    "old answers": (
        {TOO_OLD: 5, NOT_ACCEPTED: 3, NEW: 7},
        9,
        [],
        {"new rows": 6, "kept answer too old": 5, "kept answer not accepted": 3, "rows changed": 1},
    ),
    "old answers of keys that the last run had not": (
        {TOO_OLD: 5, NEW: 7},
        3,
        [],
        {"new rows": 7, "kept answer too old": 5},
    ),
    "no keys": ({NEW: 7}, None, [], {"new or changed rows": 7}),
    "no keys, and another prompt": ({NEW: 7}, None, [PROMPT], {"prompt changed": 7}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_row_that_is_asked_has_a_reason(name: str) -> None:
    """The most frequent one is first, and their numbers add up."""
    asked, known, changes, said = CASES[name]
    found = why_unknown(asked, known, EARLIER, changes)
    assert {why.reason: why.rows for why in found} == said
    assert [why.rows for why in found] == sorted(said.values(), reverse=True)
    assert sum(why.rows for why in found) == sum(asked.values())


def test_all_rows_of_a_first_run_are_new() -> None:
    (why,) = why_unknown({NEW: 3}, None, None, [])
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
