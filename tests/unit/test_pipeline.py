"""The pipeline's own decisions: which configs it accepts, and when it stops before it pays."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark import pipeline as pipeline_module
from bedrock_spark.config.load import as_config
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    PlanError,
    RunFolderError,
    UnreadableOutputError,
)
from bedrock_spark.fallback.rounds import refuse_too_small, refuse_unreadable
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from tests.unit.fakes import CLAUDE, PROVISIONED, FakeClock, config_values, make_config


def open_pipeline(folder: Path, **sections: Any) -> Pipeline:
    return Pipeline.open(config_values(str(folder), **sections), FakeClock())


def manifest_of(*records: int) -> RunManifest:
    """Return a run manifest with one shard for each number of records."""
    shards = tuple(Shard(f"shard-{i}", n, n, str(i)) for i, n in enumerate(records))
    return RunManifest("r", sum(records), "a INT", shards, ())


def test_a_config_is_a_path_a_dict_or_a_config(tmp_path: Path) -> None:
    """All three give the same config."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config_values()))
    expected = make_config()
    for config in (path, str(path), config_values(), expected):
        assert as_config(config) == expected


def test_a_manifest_of_another_run_is_refused(tmp_path: Path) -> None:
    """Its records were made with another config, and its jobs have other names."""
    pipeline = open_pipeline(tmp_path)
    commit_manifest(pipeline.run.storage, manifest_of(50))
    for stage in (pipeline.advance, pipeline.watch):
        with pytest.raises(RunFolderError, match=r"manifest\.json is of the run r, run\.json of"):
            stage()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"request": {"prompt": "{{ body }}", "max_tokens": 10**9}}, "max_tokens"),
        ({"targets": [{"model_id": "amazon.nova-pro-v1:0"}]}, "of the family nova"),
        ({"targets": [{"model_id": CLAUDE, "region": "eu-west-1"}]}, "uri: is needed"),
    ],
)
def test_a_config_that_is_refused_leaves_no_folder(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    """So the corrected config can begin the run at the same URI."""
    spark: Any = None
    for stage in ("prepare", "run_all"):
        pipeline = open_pipeline(tmp_path / "run", **sections)
        with pytest.raises(BedrockSparkError, match=message if stage == "prepare" else "."):
            getattr(pipeline, stage)(spark)
    assert not (tmp_path / "run").exists()


def test_watch_before_prepare_is_refused(tmp_path: Path) -> None:
    """There is no run manifest yet, and the message says which stage comes first."""
    with pytest.raises(RunFolderError, match="has no run manifest; run prepare first"):
        open_pipeline(tmp_path).watch()


def test_a_run_of_small_shards_has_no_batch_jobs(tmp_path: Path) -> None:
    """Watching it does nothing, and needs neither S3 nor a client."""
    pipeline = open_pipeline(tmp_path)
    manifest = replace(manifest_of(3, 4), run_id=pipeline.run.run_id)
    commit_manifest(pipeline.run.storage, manifest)
    assert pipeline.watch() is None
    assert pipeline.jobs() == {}


def test_check_refuses_a_local_folder_for_batch_jobs(tmp_path: Path) -> None:
    """Bedrock cannot read it."""
    with pytest.raises(ConfigError, match="batch jobs need an s3:// run_uri"):
        open_pipeline(tmp_path).check()


@pytest.mark.parametrize(
    ("records", "canary", "jobs", "is_asked"),
    [
        ((50, 60), {}, {}, True),
        ((50, 60), {"records": 0}, {}, False),
        ((50, 60), {}, {"a": None}, False),
        ((3, 4), {}, {}, False),
    ],
)
def test_when_the_canary_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: tuple[int, ...],
    canary: dict[str, Any], jobs: dict[str, Any], is_asked: bool,
) -> None:  # fmt: skip
    """Before the first batch job of a run, if it has any. Not if a job was submitted already."""
    pipeline = open_pipeline(tmp_path, canary=canary)
    asked: list[int] = []
    monkeypatch.setattr(
        pipeline_module, "ask_canary", lambda _run, shards, *_: asked.append(len(shards))
    )
    monkeypatch.setattr(pipeline, "jobs", lambda: jobs)
    monkeypatch.setattr(pipeline_module, "leased_controller", lambda *_: nullcontext())
    with pipeline._controller(manifest_of(*records)):
        pass
    assert asked == [2] * is_asked


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
def test_small_shards_without_a_fallback_are_refused_after_prepare(
    tmp_path: Path, records: tuple[int, ...], fallback: bool, refused: int
) -> None:
    """A batch job needs more records. The run stops before its other jobs cost anything."""
    sections = {"fallback": {"model_id": PROVISIONED}} if fallback else {}
    run = open_pipeline(tmp_path, **sections).run
    if refused:
        with pytest.raises(
            PlanError, match=rf"^{refused} records are in shards below shards\.min"
        ) as e:
            refuse_too_small(run, manifest_of(*records))
        assert "in a new run_uri" in str(e.value)  # this folder refuses another shards.min_records
    else:
        refuse_too_small(run, manifest_of(*records))


@pytest.mark.parametrize(
    ("lines", "is_refused"),
    [
        ([{"ok": 100}], False),
        ([{"ok": 100, "bad": 20}], False),
        ([{"ok": 100, "bad": 11}, {"bad": 10}], True),
        ([{"ok": 9_900, "bad": 100}], False),
        ([{"ok": 9_900, "bad": 102}], True),
        ([{}], False),
    ],
)
def test_many_unreadable_lines_stop_the_run_before_the_fallback(
    tmp_path: Path, lines: list[dict[str, int]], is_refused: bool
) -> None:
    """Many means more than 20, and more than 1 % of all lines. Fewer are asked again."""
    run = open_pipeline(tmp_path).run
    reconciled = [ReconciledShard(unit="s", lines=counts) for counts in lines]
    if is_refused:
        with pytest.raises(UnreadableOutputError, match="output lines cannot be read"):
            refuse_unreadable(run, reconciled)
    else:
        refuse_unreadable(run, reconciled)
