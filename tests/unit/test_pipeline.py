"""The pipeline's own decisions: what it takes for a config, and where it stops before paying."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark import pipeline as pipeline_module
from bedrock_spark.config.load import as_config
from bedrock_spark.errors import ConfigError, PlanError, RunFolderError, UnreadableOutputError
from bedrock_spark.fallback.rounds import refuse_too_small, refuse_unreadable
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from tests.unit.fakes import PROVISIONED, FakeClock, config_values, make_config


def opened(folder: Path, **sections: Any) -> Pipeline:
    return Pipeline.open(config_values(str(folder), **sections), FakeClock())


def manifest_of(*records: int) -> RunManifest:
    shards = tuple(Shard(f"shard-{i}", n, n, str(i)) for i, n in enumerate(records))
    return RunManifest("r", sum(records), "a INT", shards, ())


def test_a_config_is_a_file_values_or_a_config(tmp_path: Path) -> None:
    """All the same in the end."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config_values()))
    expected = make_config()
    for given in (path, str(path), config_values(), expected):
        assert as_config(given) == expected


def test_before_prepare_there_is_no_manifest_to_drive(tmp_path: Path) -> None:
    """The message says which stage is first."""
    with pytest.raises(RunFolderError, match="has no run manifest; run prepare first"):
        opened(tmp_path).watch()


def test_a_run_of_small_shards_has_no_batch_jobs(tmp_path: Path) -> None:
    """Watching it is nothing to do, and needs neither S3 nor a client."""
    pipeline = opened(tmp_path)
    commit_manifest(pipeline.run.storage, manifest_of(3, 4))
    assert pipeline.watch() is None
    assert pipeline.jobs() == {}


def test_a_local_folder_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Bedrock could not read it."""
    with pytest.raises(ConfigError, match="batch jobs need an s3:// run_uri"):
        opened(tmp_path).check()


@pytest.mark.parametrize(
    ("records", "canary", "jobs", "asked"),
    [
        ((50, 60), {}, {}, True),
        ((50, 60), {"records": 0}, {}, False),
        ((50, 60), {}, {"a": None}, False),
        ((3, 4), {}, {}, False),
    ],
)
def test_when_the_canary_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: tuple[int, ...],
    canary: dict[str, Any], jobs: dict[str, Any], asked: bool,
) -> None:  # fmt: skip
    """Before the first batch job of a run that has any; a job that was submitted has shown it."""
    pipeline = opened(tmp_path, canary=canary)
    calls: list[int] = []
    monkeypatch.setattr(
        pipeline_module, "ask_canary", lambda _run, shards, *_: calls.append(len(shards))
    )
    monkeypatch.setattr(pipeline, "jobs", lambda: jobs)
    monkeypatch.setattr(pipeline_module, "leased_controller", lambda *_: nullcontext())
    with pipeline._driving(manifest_of(*records)):
        pass
    assert calls == [2] * asked


@pytest.mark.parametrize(
    ("records", "fallback", "refused"),
    [
        ((50, 60), False, 0),
        ((50, 9), False, 9),
        ((9, 8), False, 17),
        ((50, 9), True, 0),
        ((10,), False, 0),
    ],
)
def test_records_that_nobody_may_take_are_said_after_prepare(
    tmp_path: Path, records: tuple[int, ...], fallback: bool, refused: int
) -> None:
    """Below the minimum and without a fallback: before the other jobs cost anything."""
    more = {"fallback": {"model_id": PROVISIONED}} if fallback else {}
    run = opened(tmp_path, **more).run
    if refused:
        with pytest.raises(PlanError, match=rf"^{refused} records are in shards below shards\.min"):
            refuse_too_small(run, manifest_of(*records))
    else:
        refuse_too_small(run, manifest_of(*records))


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([{"ok": 100}], False),
        ([{"ok": 100, "bad": 20}], False),
        ([{"ok": 100, "bad": 11}, {"bad": 10}], True),
        ([{"ok": 9_900, "bad": 100}], False),
        ([{"ok": 9_900, "bad": 102}], True),
        ([{}], False),
    ],
)
def test_many_unreadable_lines_stop_the_run_before_they_are_paid_for_again(
    tmp_path: Path, lines: list[dict[str, int]], refused: bool
) -> None:
    """A torn line is asked again; more than 20 and one in a hundred are another format."""
    run = opened(tmp_path).run
    reconciled: list[dict[str, Any]] = [{"lines": counted} for counted in lines]
    if refused:
        with pytest.raises(UnreadableOutputError, match="output lines cannot be read"):
            refuse_unreadable(run, reconciled)
    else:
        refuse_unreadable(run, reconciled)
