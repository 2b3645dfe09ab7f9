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
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.errors import BedrockSparkError, ConfigError, PlanError, RunFolderError
from bedrock_spark.fallback.rounds import refuse_too_small
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder import layout
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


def test_the_budget_of_jobs_knows_what_the_fallback_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on after its fallback must not spend the money a second time."""
    prices = {"batch": {"input": 1, "output": 0}, "fallback": {"input": 1, "output": 0}}
    pipeline = open_pipeline(
        tmp_path,
        canary={"records": 0},
        fallback={"model_id": "m"},
        prices=prices,
        budget={"max_cost_usd": 5},
    )
    storage, opened = pipeline.run.storage, list[Any]()
    commit_manifest(storage, manifest_of(50, 60))
    monkeypatch.setattr(pipeline, "jobs", lambda: {"a": None})
    monkeypatch.setattr(
        pipeline_module,
        "leased_controller",
        lambda *arguments: opened.append(arguments[-1]) or nullcontext(),
    )
    for unit in ("shard-0", "shard-1"):
        storage.write(layout.fallback_key(unit, "1"), b"")
        shard = ReconciledShard(unit=unit, fallback_tokens={"input": 700, "output": 9})
        storage.write(layout.reconciliation_key(unit), shard.to_json())
    with pipeline._controller(pipeline.manifest()):
        assert opened[0].fallback() == Tokens(1400, 18)


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
