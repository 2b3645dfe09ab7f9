"""Two configs: which keys differ, and what may be shown of them."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.run_folder.changes import changed_keys, described

LONG = "s3://lake/" + "x" * 100


@pytest.mark.parametrize(
    ("key", "old", "new", "text"),
    [
        ("request.max_tokens", 40, 41, "is 40 in the run and 41 in this config"),
        ("model.id", "a", "b", "is 'a' in the run and 'b' in this config"),
        ("model.family", None, "nova", "is not set in the run and 'nova' in this config"),
        ("source.key", ["id"], ["id", "x"], "is ['id'] in the run and ['id', 'x'] in this config"),
        ("request.prompt", "Classify: {{ a }}", "Classify {{ a }}", "differs from character 9 on"),
        ("request.prompt", "Classify", "Classify!", "differs from character 9 on"),
        ("request.system", None, "You are", "is set only in this config"),
        ("request.body", {"a": 1}, None, "is set only in the run"),
        ("request.body", {"a": 1}, {"a": 2}, "has other values"),
        ("request.stop", ["END"], ["STOP"], "has other values"),
        ("request.negative_prompt", "no cats", "no dogs", "differs from character 4 on"),
        ("request.tools", [{"description": "secret"}], [], "is set only in the run"),
        ("request.schema", {"enum": ["Miller"]}, {"enum": ["Smith"]}, "has other values"),
        ("request.images", ["photo"], [], "is ['photo'] in the run and [] in this config"),
        ("source.options", {"password": "pass-1"}, {"password": "pass-2"}, "has other values"),
        ("source.sql", "select 'AKIAABCDEFGHIJKLMNOP'", "select 1", "differs from character 8 on"),
        ("request", None, {"prompt": "secret"}, "is set only in this config"),
        ("source", {"options": {"x": "secret"}}, {"options": {"x": "other"}}, "has other values"),
    ],
)
def test_a_change_is_told_by_both_values(key: str, old: Any, new: Any, text: str) -> None:
    """A prompt, an option of the source and a secret are not shown."""
    assert described(key, old, new) == f"{key} {text}"


def test_of_long_values_the_part_that_differs_is_shown() -> None:
    """The same beginning of both would tell nothing."""
    text = described("source.path", f"{LONG}/old/{LONG}", f"{LONG}/new/{LONG}")
    assert "old" in text
    assert "new" in text
    assert len(text) < 250


def test_the_keys_that_differ_are_found() -> None:
    """Keys of sections, and values that are no sections."""
    old = {"run_uri": "a", "model": {"id": "x", "family": None}, "shards": {"max_records": 1}}
    new = {"run_uri": "a", "model": {"id": "y", "family": None}, "shards": {"min_records": 2}}
    assert changed_keys(old, new) == {
        "model.id": ("x", "y"),
        "shards.max_records": (1, None),
        "shards.min_records": (None, 2),
    }
    assert changed_keys({}, {"run_uri": "a"}) == {"run_uri": (None, "a")}
