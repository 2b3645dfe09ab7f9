"""A run whose source is another run takes key and kept columns over, and notes its lineage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.config import parse_config
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    OtherRunError,
    RunFolderError,
    SourceError,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import Cleaned
from bedrock_spark.run_folder.manifest import RunManifest, commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, find_run, open_run
from bedrock_spark.run_folder.source_run import DerivedFrom
from tests.unit.fakes import FakeClock, config_values

KEPT = "`a b` STRING, `id` BIGINT, `tags` array<struct<`x`:int,`y, z`:int>>"


def opened(folder: Path, source: dict[str, Any], **sections: Any) -> Run:
    values = {**config_values(str(folder), **sections), "source": source}
    return open_run(parse_config(values), FakeClock(1_000.0))


def first_run(folder: Path, **source: Any) -> Run:
    """Return a run that is prepared."""
    run = begin_run(opened(folder, {"key": ["id"], **source}))
    commit_manifest(run.storage, RunManifest(run.run_id, 0, KEPT, (), ()))
    return run


def test_key_and_columns_are_those_of_the_run(tmp_path: Path) -> None:
    """Whatever the config does not name; and they stay so when the run is opened again."""
    first = first_run(tmp_path / "first")
    source = {"run": str(tmp_path / "first")}
    second = begin_run(opened(tmp_path / "second", source))
    assert second.config.source.key == ("id",)
    assert second.config.source.columns == ("a b", "id", "tags")
    (tmp_path / "first" / layout.MANIFEST_FILE).unlink()
    again = opened(tmp_path / "second", source)
    assert (again.run_id, again.config) == (second.run_id, second.config)
    assert find_run(str(tmp_path / "second")).config.source == second.config.source
    assert first.config.source.outcome == ("ok",)


@pytest.mark.parametrize(
    ("own", "key", "columns"),
    [
        ({"key": "tags"}, ("tags",), ("a b", "id", "tags")),
        ({"columns": ["tags", "text"]}, ("id",), ("tags", "text")),
        ({"rename": {"id": "number", "text": "first"}}, ("number",), ("a b", "number", "tags")),
    ],
)
def test_what_the_config_names_counts(
    tmp_path: Path, own: dict[str, Any], key: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    """The rest is that of the run, with the new names of `source.rename`."""
    first_run(tmp_path / "first")
    source = {"run": str(tmp_path / "first"), **own}
    second = begin_run(opened(tmp_path / "second", source))
    assert (second.config.source.key, second.config.source.columns) == (key, columns)
    assert opened(tmp_path / "second", source).config == second.config


def test_merged_results_need_a_key(tmp_path: Path) -> None:
    """Which may be known only when the other run is looked at."""
    merged = {"results": {"table": "answers", "format": "delta", "mode": "merge"}}
    first_run(tmp_path / "with_key")
    assert opened(tmp_path / "a", {"run": str(tmp_path / "with_key")}, **merged).config.source.key
    first_run(tmp_path / "without", key=[])
    with pytest.raises(ConfigError, match=r"results.mode: merge needs a key, and the run .*/with"):
        opened(tmp_path / "b", {"run": str(tmp_path / "without")}, **merged)


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("absent", SourceError, "holds no run"),
        ("begun", SourceError, "is not prepared yet. Run it to its end first"),
        ("replaced", RunFolderError, "are of different runs"),
        ("cleaned", RunFolderError, "its results did not stay"),
    ],
)
def test_a_run_that_cannot_be_a_source_is_refused(
    tmp_path: Path, state: str, kind: type[BedrockSparkError], said: str
) -> None:
    """Before anything is written."""
    folder = tmp_path / "first"
    if state == "begun":
        begin_run(opened(folder, {"key": ["id"]}))
    elif state != "absent":
        run = first_run(folder)
        if state == "replaced":
            other = json.dumps({**json.loads(run.storage.read(layout.RUN_FILE)), "run_id": "b"})
            run.storage.write(layout.RUN_FILE, other.encode())
        else:
            run.storage.write(layout.CLEANED_FILE, Cleaned(0.0, ("report",)).to_json())
    with pytest.raises(kind, match=said):
        opened(tmp_path / "second", {"run": str(folder)})
    assert not (tmp_path / "second").exists()


def test_lineage_is_that_of_the_rows_that_were_read(tmp_path: Path) -> None:
    """Until prepare is committed, a run that reads other results is begun again; then no more."""
    first_run(tmp_path / "first")
    source = {"run": str(tmp_path / "first"), "outcome": ["error"], "where": "id > 1"}
    lineage = DerivedFrom(str(tmp_path / "first"), "first-1", "aa", ("error",), "id > 1")
    run = opened(tmp_path / "second", source)
    begun = begin_run(replace(run, derived_from=lineage))
    assert find_run(str(tmp_path / "second")).derived_from == begun.derived_from == lineage
    newer = replace(lineage, fingerprint="bb", outcomes=None, where=None)
    again = begin_run(replace(begun, derived_from=newer, is_begun=False))
    assert (again.run_id, again.derived_from) == (begun.run_id, newer)
    described = json.loads(again.storage.read(layout.RUN_FILE))
    assert described["derived_from"] == newer.as_json()
    commit_manifest(again.storage, RunManifest(again.run_id, 0, KEPT, (), ()))
    late = begin_run(replace(begun, is_begun=False))
    assert late.derived_from == newer


def test_another_source_is_another_run(tmp_path: Path) -> None:
    """The outcomes and the condition shape the records: they are fixed with the source."""
    first_run(tmp_path / "first")
    source = {"run": str(tmp_path / "first")}
    second = begin_run(opened(tmp_path / "second", source))
    commit_manifest(second.storage, RunManifest(second.run_id, 0, KEPT, (), ()))
    for other in ({"outcome": "error"}, {"where": "id > 1"}, {"columns": ["id"]}):
        with pytest.raises(OtherRunError, match=f"another source.{next(iter(other))}"):
            opened(tmp_path / "second", {**source, **other})
