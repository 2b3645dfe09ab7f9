"""The fields of a config, which are changed in its text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.preview.draft import read_draft

STAGES = """\
run_uri: s3://bucket/runs/one
source: {path: s3://bucket/rows.parquet, key: [id]}
model: amazon.nova-lite-v1:0
batch: {role_arn: "arn:aws:iam::123456789012:role/Batch", region: us-east-1}
results: {parse: label string}
stages:
- name: first
  request: "Sort {{ body }}"
- name: second  # of the answers
  request:
    prompt: "Check {{ label }}"
    max_tokens: 10
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.yaml"
    path.write_text(STAGES)
    return path


def test_the_fields_are_those_of_the_stage(path: Path) -> None:
    fields = read_draft(f"{path}#second").fields
    assert fields.prompt == "Check {{ label }}"
    assert (fields.parameters, fields.model) == ("max_tokens: 10\n", "amazon.nova-lite-v1:0")
    assert fields.parse == "label string"


def test_a_stage_is_changed_alone(path: Path) -> None:
    draft = read_draft(f"{path}#second")
    changed = draft.with_fields(replace(draft.fields, prompt="Look at {{ label }}", parameters=""))
    assert changed.checked().request.prompt == "Look at {{ label }}"
    assert changed.text == STAGES.replace("Check", "Look at").replace("    max_tokens: 10\n", "")
    assert [line for line in changed.diff() if line[0] in "+-"][2:] == [
        '-    prompt: "Check {{ label }}"',
        "-    max_tokens: 10",
        '+    prompt: "Look at {{ label }}"',
    ]
    assert path.read_text() == STAGES


def test_the_same_fields_change_nothing(path: Path) -> None:
    draft = read_draft(f"{path}#first")
    assert draft.with_fields(draft.fields) is draft
    assert draft.diff() == []


def test_a_key_of_all_stages_is_not_taken_out_of_one(path: Path) -> None:
    path.write_text(STAGES.replace("stages:", "request: {system: Be brief.}\nstages:"))
    draft = read_draft(f"{path}#second")
    with pytest.raises(ConfigError, match=r"request.system: is set for all stages"):
        draft.with_fields(replace(draft.fields, system=""))


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no.yaml: cannot be read: No such file"):
        read_draft(str(tmp_path / "no.yaml"))
