"""Opening a run: begun once, the same on every machine, never another run by mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import parse_config
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.limits import JOB_NAME, JOB_NAME_MAX, S3_URI
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder import run as run_folder
from bedrock_spark.run_folder.job_plan import plan_job
from bedrock_spark.run_folder.run import new_run_id, open_run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import ACCOUNT, CLAUDE, PROVISIONED, FakeClock, config_values


def open_in(folder: Path, **sections: Any) -> run_folder.Run:
    return open_run(parse_config(config_values(str(folder), **sections)), FakeClock(1_000.0))


def test_a_run_is_begun_once(tmp_path: Path) -> None:
    """Opening the folder again, on any machine, opens the same run."""
    folder = tmp_path / "tickets 2026"
    first = open_in(folder)
    written = (folder / layout.RUN_FILE).read_bytes()
    reopened = open_in(folder)
    assert (reopened.run_id, reopened.config, reopened.aws) == (
        first.run_id,
        first.config,
        first.aws,
    )
    assert (folder / layout.RUN_FILE).read_bytes() == written
    assert first.run_id.startswith("tickets-2026-")


def test_run_json_describes_the_run(tmp_path: Path) -> None:
    """The resolved config, the time when it began, and the versions of the packages."""
    run = open_in(tmp_path)
    described = json.loads((tmp_path / layout.RUN_FILE).read_bytes())
    assert described["run_id"] == run.run_id
    assert described["created_at"] == 1_000.0
    assert parse_config(described["config"]) == run.config
    assert {"bedrock_spark", "python", "boto3", "pyspark"} <= described["versions"].keys()


def test_two_processes_that_begin_at_once_open_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds no run.json, and then cannot create it because it exists by then."""
    first = open_in(tmp_path)
    reads: list[str] = []
    read = LocalStorage.read_if_present

    def read_too_early(self: LocalStorage, key: str) -> bytes | None:
        reads.append(key)
        return None if len(reads) == 1 else read(self, key)

    monkeypatch.setattr(LocalStorage, "read_if_present", read_too_early)
    assert open_in(tmp_path).run_id == first.run_id
    assert len(reads) > 1


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"model": {"id": "anthropic.claude-v2"}}, "model.id"),
        ({"model": {"invocation": "converse"}}, "model.invocation"),
        ({"request": {"prompt": "Another {{ body }}", "max_tokens": 40}}, "request.prompt"),
        ({"request": {"prompt": "Classify: {{ body }}", "max_tokens": 41}}, "request.max_tokens"),
        ({"source": {"key": ["id", "x"]}}, "source.key"),
        ({"source": {"table": "t", "columns": ["id"]}}, "source.columns, source.table"),
        (
            {"shards": {"max_records": 99}, "model": {"family": "anthropic"}},
            "model.family, shards.max",
        ),
    ],
)
def test_settings_that_shape_the_records_may_not_change(
    tmp_path: Path, changed: dict[str, Any], keys: str
) -> None:
    """Otherwise rows of one run would get different questions. The error names the keys."""
    open_in(tmp_path)
    with pytest.raises(RunFolderError) as caught:
        open_in(tmp_path, **changed)
    assert f"holds a run with another {keys}" in str(caught.value)
    assert "Another" not in str(caught.value)


def test_another_run_uri_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """A copy of the folder is not the run: its jobs write into the old folder."""
    open_in(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / layout.RUN_FILE).write_bytes((tmp_path / "a" / layout.RUN_FILE).read_bytes())
    with pytest.raises(RunFolderError, match="with another run_uri"):
        open_in(tmp_path / "b")


def test_all_other_settings_may_change(tmp_path: Path) -> None:
    """The newest config is used: slots, attempts, tags, Region, fallback, results, endpoint."""
    first = open_in(tmp_path)
    reopened = open_in(
        tmp_path,
        batch={"max_active_jobs": 3, "attempts": 5, "tags": {"a": "b"}, "region": "eu-west-1"},
        fallback={"model_id": PROVISIONED},
        results={"table": "t"},
        endpoint_url="http://localhost:1",
    )
    assert reopened.run_id == first.run_id
    assert reopened.config.batch.max_active_jobs == 3
    assert (reopened.aws.region, reopened.aws.endpoint_url) == ("eu-west-1", "http://localhost:1")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON; the run folder is damaged"),
        (b'{"format": 1, "run', "is not JSON; the run folder is damaged"),
        (b"\xff\xfe\x00", "is not JSON; the run folder is damaged"),
        (b"[]", "is not the description of a run"),
        (b"{}", "is not the description of a run"),
        (b'{"format": 1}', "lacks a run_id or a config"),
        (b'{"format": 1, "run_id": 5, "config": {}}', "lacks a run_id or a config"),
        (b'{"format": 1, "run_id": "x", "config": []}', "lacks a run_id or a config"),
        (b'{"format": 2}', "has format 2, this version reads 1; use the version"),
        (b'{"format": 1, "run_id": "x", "config": {}}', "holds a run with another run_uri"),
    ],
)
def test_an_invalid_run_json_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    """A damaged file, another file of that name, or a newer version: it is never overwritten."""
    (tmp_path / layout.RUN_FILE).write_bytes(data)
    with pytest.raises(RunFolderError, match=r"run\.json: |holds a run") as caught:
        open_in(tmp_path)
    assert message in str(caught.value)
    assert (tmp_path / layout.RUN_FILE).read_bytes() == data


OPAQUE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the service answer that every opaque id is a Nova model; return the ids it was asked."""
    ids: list[str] = []

    def answer(_client: Any, model: Any, _clock: Any) -> str:
        ids.append(model.id)
        return "nova"

    monkeypatch.setattr(run_folder, "ask_family", answer)
    return ids


def test_the_family_of_an_opaque_id_is_asked_once_and_recorded(
    tmp_path: Path, asked: list[str]
) -> None:
    """Later opens, on any machine, read it from the run; `model.family` may name the same one."""
    first = open_in(tmp_path, model={"id": OPAQUE})
    assert first.config.model.family == "nova"
    recorded = json.loads((tmp_path / layout.RUN_FILE).read_bytes())["config"]["model"]
    assert recorded == {"id": OPAQUE, "invocation": "invoke_model", "family": "nova"}
    assert open_in(tmp_path, model={"id": OPAQUE}).config == first.config
    assert open_in(tmp_path, model={"id": OPAQUE, "family": "nova"}).config == first.config
    assert asked == [OPAQUE]


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ({"id": OPAQUE, "family": "anthropic"}, "another model.family"),
        ({"id": OPAQUE.replace("abc", "xyz")}, "another model.id"),
        ({"id": OPAQUE, "invocation": "converse"}, "another model.family, model.invocation"),
        ({"id": CLAUDE}, "another model.family, model.id"),
    ],
)
def test_another_model_than_the_recorded_one_is_refused(
    tmp_path: Path, asked: list[str], model: dict[str, str], keys: str
) -> None:
    """The records are made for one family. The service is not asked again."""
    open_in(tmp_path, model={"id": OPAQUE})
    with pytest.raises(RunFolderError, match=rf"holds a run with {keys}\. "):
        open_in(tmp_path, model=model)
    assert asked == [OPAQUE]


def test_a_configured_family_is_not_asked_for(tmp_path: Path, asked: list[str]) -> None:
    """It is recorded, and a later config may omit it."""
    first = open_in(tmp_path, model={"id": OPAQUE, "family": "anthropic"})
    assert open_in(tmp_path, model={"id": OPAQUE}).config == first.config
    assert asked == []


def test_if_the_family_is_unknown_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a run with `model.family` can begin in the same folder."""

    def refuse(*_: Any) -> str:
        raise ConfigError("set model.family")

    monkeypatch.setattr(run_folder, "ask_family", refuse)
    with pytest.raises(ConfigError, match=r"set model\.family"):
        open_in(tmp_path / "new", model={"id": OPAQUE})
    assert not (tmp_path / "new").exists()
    assert open_in(tmp_path / "new", model={"id": OPAQUE, "family": "nova"}).run_id


URIS = st.one_of(
    st.text(min_size=1),
    st.text(st.sampled_from("abcXYZ019-_./ é="), min_size=1).map(lambda t: f"s3://bucket/{t}"),
)


@given(URIS)
def test_names_made_of_a_run_id_are_valid(uri: str) -> None:
    """Job names and S3 paths have patterns and lengths; a folder may have any name."""
    run_id = new_run_id(uri)
    plan = plan_job(run_id, layout.shard_id(99_999, 99), "0" * 64, CLAUDE, 10)
    assert JOB_NAME.fullmatch(plan.job_name)
    assert len(plan.job_name) <= JOB_NAME_MAX
    assert S3_URI.fullmatch(f"s3://bucket/{run_id}/x")


def test_two_runs_in_the_same_folder_have_different_ids() -> None:
    """A run in a folder that was deleted must not find the jobs of the old run."""
    ids = {new_run_id("s3://bucket/runs/tickets") for _ in range(100)}
    assert len(ids) == 100
    assert all(i.startswith("tickets-") for i in ids)


@pytest.mark.parametrize(
    ("uri", "slug"),
    [
        ("s3://b/runs/Tickets_2026.11", "tickets-2026-11"),
        ("s3://b/" + "long" * 20, "longlonglonglonglong"),
        ("/tmp/日本", "run"),
        ("s3://b/2026", "2026"),
        ("s3://b/--x--/", "x"),
    ],
)
def test_a_run_id_is_readable(uri: str, slug: str) -> None:
    """It begins with the name of the folder."""
    assert new_run_id(uri).rsplit("-", 1)[0] == slug
