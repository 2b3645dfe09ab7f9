"""Versions of a config: the newest one is used by the commands that get none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import Config
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import begin_run, find_run, open_run, record_config
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import ROLE, FakeClock, make_config

CHANGES: list[dict[str, Any]] = [
    {},
    {"batch": {"role_arn": ROLE + "New"}},
    {"batch": {"max_active_jobs": 3}, "prices": {"batch": {"input": 1, "output": 2}}},
    {"results": {"path": "s3://bucket/results"}},
    {"budget": {"max_cost_usd": 5}, "prices": {"batch": {"input": 1, "output": 2}}},
]


def begin(folder: Path, **sections: Any) -> Config:
    run = begin_run(open_run(make_config(str(folder), **sections), FakeClock()))
    return run.config


def carry_on(folder: Path, **sections: Any) -> Config:
    """Open the run as a process that submits does."""
    run = open_run(make_config(str(folder), **sections), FakeClock())
    record_config(run, 5.0)
    return run.config


def versions(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / layout.CONFIGS).glob("*"))


@given(st.lists(st.sampled_from(CHANGES), max_size=12))
def test_the_newest_config_is_found(
    tmp_path_factory: pytest.TempPathFactory, changes: list[dict[str, Any]]
) -> None:
    """There is one version for each change, and run.json stays as it was."""
    folder = tmp_path_factory.mktemp("run")
    config = begin(folder)
    begun = (folder / layout.RUN_FILE).read_bytes()
    changed = 0
    for sections in changes:
        before, config = config, carry_on(folder, **sections)
        changed += config != before
        assert find_run(str(folder)).config == config
    assert versions(folder) == [f"{n:04d}.json" for n in range(1, changed + 1)]
    assert (folder / layout.RUN_FILE).read_bytes() == begun


def test_a_version_has_neither_prompts_nor_options_of_the_source(tmp_path: Path) -> None:
    """They cannot change, and may be secret."""
    secret = {"table": "t", "options": {"mode": "secret-1"}, "key": ["id"]}
    request = {"prompt": "secret-2 {{ body }}", "max_tokens": 40}
    begin(tmp_path, source=secret, request=request)
    carry_on(tmp_path, source=secret, request=request, batch={"attempts": 4})
    text = (tmp_path / layout.config_key(1)).read_text()
    assert "secret" not in text
    assert json.loads(text).keys() == {"format", "at", "config"}
    assert find_run(str(tmp_path)).config.request.prompt == request["prompt"]


def test_two_processes_that_change_the_config_at_once_both_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later one gets the next number, and nothing is overwritten."""
    begin(tmp_path)
    create, raced = LocalStorage.create, []

    def race(self: LocalStorage, key: str, data: bytes) -> None:
        if not raced:
            raced.append(key)
            carry_on(tmp_path, batch={"attempts": 7})
        create(self, key, data)

    monkeypatch.setattr(LocalStorage, "create", race)
    carry_on(tmp_path, batch={"attempts": 4})
    assert versions(tmp_path) == ["0001.json", "0002.json"]
    assert find_run(str(tmp_path)).config.batch.attempts == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a version of the config; delete it"),
        (b"[]", "is not a version of the config; delete it"),
        (b'{"format": 1}', "is not a version of the config; delete it"),
        (b'{"format": 1, "config": 5}', "is not a version of the config; delete it"),
        (b'{"format": 2, "config": {}}', "has format 2, this version reads 1; use the version"),
    ],
)
def test_a_damaged_version_is_an_error_that_names_it(
    tmp_path: Path, data: bytes, message: str
) -> None:
    """`stop` must not act by an older config without a word."""
    begin(tmp_path)
    carry_on(tmp_path, batch={"attempts": 4})
    (tmp_path / layout.config_key(1)).write_bytes(data)
    with pytest.raises(RunFolderError, match=rf"0001\.json: {message}"):
        find_run(str(tmp_path))
