"""A config is changed in its text: what is not changed stays as it was, comments included."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config.edit import REMOVED, edited
from bedrock_spark.errors import ConfigError

TEXT = """\
# Of the team of support.
run_uri: s3://bucket/runs/one  # the folder
model: {id: amazon.nova-lite-v1:0}
request:
  # Keep it short.
  prompt: "Classify {{ body }}"  # English
  max_tokens: 256
  stop: [END]
results:
  path: s3://bucket/results/
"""


def test_a_value_is_replaced_and_all_comments_stay() -> None:
    changed = edited(TEXT, {("request", "prompt"): "Sort {{ body }}"})
    assert changed == TEXT.replace("Classify", "Sort")


def test_a_text_of_several_lines_becomes_a_block() -> None:
    changed = edited(TEXT, {("request", "prompt"): "One {{ body }}\n\n  two\n"})
    block = "|  # English\n    One {{ body }}\n\n      two"
    assert changed == TEXT.replace('"Classify {{ body }}"  # English', block)


def test_a_missing_key_is_put_behind_the_others() -> None:
    changed = edited(TEXT, {("request", "system"): "You sort.", ("canary", "records"): 3})
    assert '  stop: [END]\n  system: "You sort."\nresults:' in changed
    assert changed.endswith("results/\ncanary:\n  records: 3\n")


def test_a_key_is_taken_out() -> None:
    changed = edited(TEXT, {("request", "max_tokens"): REMOVED, ("request", "top_p"): REMOVED})
    assert changed == TEXT.replace("  max_tokens: 256\n", "")


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("request: Ask {{ a }}\n", {("request", "prompt"): "b {{ a }}"}, {"prompt": "b {{ a }}"}),
        (
            "request: Ask {{ a }}\n",
            {("request", "system"): "s"},
            {"prompt": "Ask {{ a }}", "system": "s"},
        ),
        ("request:\n", {("request", "prompt"): "b"}, {"prompt": "b"}),
        ("request: {prompt: a, top_k: 3}\n", {("request", "top_k"): REMOVED}, {"prompt": "a"}),
        (
            "request: {prompt: a}\n",
            {("request", "system"): "x\ny"},
            {"prompt": "a", "system": "x\ny"},
        ),
        ("request: {top_k: 3, prompt: a}\n", {("request", "top_k"): REMOVED}, {"prompt": "a"}),
        ('{"request": {"prompt": "a"}}', {("request", "top_k"): 5}, {"prompt": "a", "top_k": 5}),
        ("request:\n  prompt: a\n", {("request", "prompt"): REMOVED}, {}),
        (
            "request:\n  prompt: |\n    a\n    b\n\n# end\n",
            {("request", "prompt"): "c"},
            {"prompt": "c"},
        ),
    ],
)
def test_forms_of_a_section(text: str, changes: dict[Any, Any], expected: dict[str, Any]) -> None:
    changed = edited(text, changes)
    found = yaml.safe_load(changed)["request"]
    assert (found if isinstance(found, dict) else {"prompt": found}) == expected
    assert ("# end" in changed) == ("# end" in text)


def test_json_stays_json() -> None:
    text = json.dumps({"request": {"prompt": "a", "stop": []}}, indent=2)
    changed = edited(text, {("request", "prompt"): "b\nc", ("request", "system"): "s"})
    assert json.loads(changed)["request"] == {"prompt": "b\nc", "stop": [], "system": "s"}


def test_a_stage_is_changed_alone() -> None:
    text = "request: a {{ b }}\nstages:\n- name: one\n- name: two\n  request:\n    prompt: c\n"
    changed = edited(text, {("request", "system"): "s"}, ("stages", 1))
    assert yaml.safe_load(changed)["stages"][1]["request"] == {"prompt": "c", "system": "s"}
    first = edited(text, {("request", "prompt"): "d"}, ("stages", 0))
    assert yaml.safe_load(first)["stages"][0] == {"name": "one", "request": {"prompt": "d"}}


def test_a_shared_value_is_not_changed() -> None:
    text = "model: &m {id: a}\nrequest: {body: *m}\n"
    with pytest.raises(ConfigError, match=r"model.id: cannot be changed in the text"):
        edited(text, {("model", "id"): "b"})


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@given(prompt=st.lists(lines, min_size=1, max_size=4).map("\n".join))
def test_any_text_is_read_again_as_it_was_given(prompt: str) -> None:
    changed = edited(TEXT, {("request", "prompt"): prompt})
    assert yaml.safe_load(changed)["request"]["prompt"] == prompt
    assert "# Keep it short." in changed
