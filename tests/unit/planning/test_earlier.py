"""The last run of the same source: which one it is, its numbers, and what has changed since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.planning.earlier import (
    BESIDE,
    IN_FOLDER,
    NAMED,
    as_value,
    changes_since,
    find_earlier,
)
from bedrock_spark.planning.why import why_all
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import (
    KeptRows,
    RejectedRows,
    RunManifest,
    Shard,
    SourceState,
    commit_manifest,
)
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.run_folder.stages_file import write_stage_names
from bedrock_spark.storage import LocalStorage
from tests.models import NOVA
from tests.unit.fakes import FakeClock, make_config, report_json

SOURCE = {"format": "parquet", "path": "s3://lake/tickets", "key": ["id"]}
BEGUN = 1_800_000_000.0
REPORT = {
    "version": 1,
    "state": "done",
    "rows": 13,
    "records": 11,
    "rows_sharing_a_record": 1,
    "outcomes": {"ok": 9, "error": 2, "rejected": 1},
    "served_by": {"batch": 8, "fallback": 0, "kept": 1},
    "shards": 2,
    "tokens": {"input": 400, "output": 50},
    "cost": {"total": 0.25},
}


def opened(folder: Path, at: float = BEGUN, **sections: Any) -> Run:
    config = make_config(str(folder), **{"source": SOURCE, **sections})
    return open_run(config, FakeClock(at))


def prepared(folder: Path, at: float = BEGUN, **sections: Any) -> Run:
    """Make a prepared run in a folder."""
    run = begin_run(opened(folder, at, **sections))
    shards = (Shard("shard-00000-00", 7, 70, "a", sharing=2),)
    state = SourceState("1", versions=("3",))
    commit_manifest(run.storage, RunManifest(run.run_id, 9, "a INT", shards, (), "p", state))
    return run


def report_on(run: Run, **values: Any) -> None:
    data = json.dumps(report_json(**{**REPORT, "run_id": run.run_id, **values}))
    run.storage.write(layout.REPORT_FILE, data.encode())


def test_the_newest_prepared_run_beside_it_with_the_same_source_is_found(tmp_path: Path) -> None:
    """Not one of another source, one that is not prepared, one that is damaged, or no run."""
    prepared(tmp_path / "day-3", BEGUN)
    prepared(tmp_path / "day-1", BEGUN + 5)
    begin_run(opened(tmp_path / "day-0", BEGUN + 9))
    prepared(tmp_path / "other", BEGUN + 9, source={**SOURCE, "path": "s3://lake/others"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / layout.RUN_FILE).write_text("[")
    prepared(tmp_path / "damaged", BEGUN + 9)
    (tmp_path / "damaged" / layout.MANIFEST_FILE).write_text("[")
    found = find_earlier(opened(tmp_path / "day-4"))
    assert found is not None
    assert (found.run_uri, found.how) == (str(tmp_path / "day-1"), BESIDE)


def test_the_run_folder_comes_first_and_a_named_run_before_it(tmp_path: Path) -> None:
    prepared(tmp_path / "a")
    prepared(tmp_path / "b")
    own = find_earlier(opened(tmp_path / "a"))
    named = find_earlier(opened(tmp_path / "a"), str(tmp_path / "b"))
    assert own is not None
    assert named is not None
    assert (own.run_uri, own.how) == (str(tmp_path / "a"), IN_FOLDER)
    assert (named.run_uri, named.how) == (str(tmp_path / "b"), NAMED)


def test_without_an_earlier_run_there_is_none(tmp_path: Path) -> None:
    """A DataFrame has no place by which a run could be found; a run that is named must exist."""
    prepared(tmp_path / "a", source={"key": ["id"]})
    assert find_earlier(opened(tmp_path / "b", source={"key": ["id"]})) is None
    assert find_earlier(opened(tmp_path / "b")) is None
    with pytest.raises(ConfigError, match="there is no run that is prepared"):
        find_earlier(opened(tmp_path / "b"), str(tmp_path / "none"))


def test_another_stage_is_no_earlier_run(tmp_path: Path) -> None:
    """Two stages may read the rows of one: they ask different questions."""
    prepared(tmp_path / "extract")
    assert find_earlier(opened(tmp_path / "judge")) is not None
    write_stage_names(LocalStorage(str(tmp_path)), ["classify", "extract", "judge"])
    assert find_earlier(opened(tmp_path / "judge")) is None
    own = find_earlier(opened(tmp_path / "extract"))
    assert own is not None
    assert own.how == IN_FOLDER


def test_the_numbers_are_those_of_the_report_or_of_the_manifest(tmp_path: Path) -> None:
    """A run that was only prepared has no tokens and no cost."""
    run = prepared(tmp_path / "a")
    found = find_earlier(run)
    assert found is not None
    value = as_value(found, [])
    assert (value.state, value.rows, value.records, value.shared) == ("prepared", 9, 7, 2)
    assert (value.input_tokens, value.cost) == (None, None)
    report_on(run)
    (tmp_path / "a" / layout.MANIFEST_FILE).unlink()  # as `clean` does
    found = find_earlier(run)
    assert found is not None
    value = as_value(found, [])
    assert (value.state, value.rows, value.records, value.rejected) == ("done", 13, 11, 1)
    assert (value.shared, value.kept, value.shards) == (1, 1, 2)
    assert (value.input_tokens, value.output_tokens, str(value.cost)) == (400, 50, "0.25")
    assert value.begun_at == "2027-01-15T08:00:00Z"


def test_a_run_that_is_not_collected_has_the_numbers_of_prepare(tmp_path: Path) -> None:
    """Its report has no outcomes yet, and so neither rejected rows nor kept answers."""
    run = prepared(tmp_path / "a")
    report_on(run, state="running", rows=12, outcomes={}, served_by={}, tokens={}, cost=None)
    found = find_earlier(run)
    assert found is not None
    assert found.manifest is not None
    rest = {
        "rows": 12,
        "rejects": (RejectedRows(0, 2),),
        "kept": (KeptRows("kept-00000", 1, 1, 9),),
    }
    value = as_value(replace(found, manifest=replace(found.manifest, **rest)), [])
    assert value.rows == value.records + value.shared + value.kept + value.rejected
    assert (value.state, value.kept, value.rejected) == ("running", 1, 2)


PROMPT = {"prompt": "Classify: {{ body }}", "max_tokens": 40}
CHANGES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nothing": ({}, [], "no answers are kept"),
    "prompt": (
        {"request": {**PROMPT, "prompt": "Classify {{ body }}"}},
        ["prompt changed: request.prompt differs from character 9 on"],
        "prompt changed",
    ),
    "model": (
        {"model": {"id": NOVA}, "request": {**PROMPT, "system": "Be brief"}},
        [
            f"model changed: model.id is '{make_config().model.id}' in that run and '{NOVA}' in "
            "this config",
            "prompt changed: request.system is set only in this config",
        ],
        "model changed and prompt changed",
    ),
    "request": (
        {"request": {**PROMPT, "max_tokens": 41}},
        ["request changed: request.max_tokens is 40 in that run and 41 in this config"],
        "request changed",
    ),
    "what does not shape records": (
        {"shards": {"max_records": 50}, "budget": {"max_cost_usd": 1}},
        [],
        "no answers are kept",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_is_said_without_the_prompt(name: str, tmp_path: Path) -> None:
    sections, said, why = CHANGES[name]
    prepared(tmp_path / "a")
    run = opened(tmp_path / "b", **sections)
    found = find_earlier(run)
    assert found is not None
    changes = changes_since(found, run.config, found.source)
    assert sorted(map(str, changes)) == said
    (reason,) = why_all(7, run.config, found, changes)
    assert (reason.reason, reason.rows) == (why, 7)


def test_a_source_that_has_changed_is_no_reason_to_ask_everything(tmp_path: Path) -> None:
    """It is said all the same. Without an earlier run, or records, there is nothing to explain."""
    prepared(tmp_path / "a")
    run = opened(tmp_path / "b")
    found = find_earlier(run)
    assert found is not None
    assert found.source is not None
    now = replace(found.source, digest="2", versions=("4",))
    changes = changes_since(found, run.config, now)
    assert [str(change) for change in changes] == ["source changed: version 3 then, 4 now"]
    assert [why.reason for why in why_all(7, run.config, found, changes)] == ["no answers are kept"]
    assert why_all(7, run.config, None, []) == why_all(0, run.config, found, changes) == []


def test_a_run_that_another_version_began_is_read_with_todays_defaults(tmp_path: Path) -> None:
    """A key that it did not know is no change."""
    run = prepared(tmp_path / "a")
    path = tmp_path / "a" / layout.RUN_FILE
    values = json.loads(path.read_text())
    del values["config"]["request"]["dedupe"]
    path.write_text(json.dumps(values))
    found = find_earlier(run)
    assert found is not None
    assert changes_since(found, run.config, found.source) == []
