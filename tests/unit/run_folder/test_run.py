"""Opening a run: begun once, the same for everyone, and never another one by mistake."""

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


def opened(folder: Path, **sections: Any) -> run_folder.Run:
    return open_run(parse_config(config_values(str(folder), **sections)), FakeClock(1_000.0))


def test_a_run_is_begun_once(tmp_path: Path) -> None:
    """Whoever opens the folder again, on whatever machine, opens the same run."""
    folder = tmp_path / "tickets 2026"
    first = opened(folder)
    written = (folder / layout.RUN_FILE).read_bytes()
    again = opened(folder)
    assert (again.run_id, again.config, again.aws) == (first.run_id, first.config, first.aws)
    assert (folder / layout.RUN_FILE).read_bytes() == written
    assert first.run_id.startswith("tickets-2026-")


def test_run_json_says_what_the_run_is(tmp_path: Path) -> None:
    """The resolved config, when it began, and with which versions."""
    run = opened(tmp_path)
    described = json.loads((tmp_path / layout.RUN_FILE).read_bytes())
    assert described["run_id"] == run.run_id
    assert described["created_at"] == 1_000.0
    assert parse_config(described["config"]) == run.config
    assert {"bedrock_spark", "python", "boto3", "pyspark"} <= described["versions"].keys()


def test_of_two_that_begin_at_once_both_get_the_run_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one finds run.json between its look and its write."""
    first = opened(tmp_path)
    reads: list[str] = []
    read = LocalStorage.read_if_present

    def too_early(self: LocalStorage, key: str) -> bytes | None:
        reads.append(key)
        return None if len(reads) == 1 else read(self, key)

    monkeypatch.setattr(LocalStorage, "read_if_present", too_early)
    assert opened(tmp_path).run_id == first.run_id
    assert len(reads) > 1


@pytest.mark.parametrize(
    ("changed", "named"),
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
def test_what_shapes_the_records_may_not_change(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    """Half of the rows would be asked one thing and half another; the keys are named."""
    opened(tmp_path)
    with pytest.raises(RunFolderError) as caught:
        opened(tmp_path, **changed)
    assert f"holds a run with another {named}" in str(caught.value)
    assert "Another" not in str(caught.value)


def test_another_run_uri_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """A folder that was copied is not the run: its jobs write into the old one."""
    opened(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / layout.RUN_FILE).write_bytes((tmp_path / "a" / layout.RUN_FILE).read_bytes())
    with pytest.raises(RunFolderError, match="with another run_uri"):
        opened(tmp_path / "b")


def test_everything_else_may_change_and_the_newest_wins(tmp_path: Path) -> None:
    """Slots, attempts, the role, the fallback, results and the endpoint."""
    first = opened(tmp_path)
    again = opened(
        tmp_path,
        batch={"max_active_jobs": 3, "attempts": 5, "tags": {"a": "b"}, "region": "eu-west-1"},
        fallback={"model_id": PROVISIONED},
        results={"table": "t"},
        endpoint_url="http://localhost:1",
    )
    assert again.run_id == first.run_id
    assert again.config.batch.max_active_jobs == 3
    assert (again.aws.region, again.aws.endpoint_url) == ("eu-west-1", "http://localhost:1")


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_a_run_json_that_is_not_ours_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    """Damaged, another file of that name, or of a newer version: never begun over it."""
    (tmp_path / layout.RUN_FILE).write_bytes(text)
    with pytest.raises(RunFolderError, match=r"run\.json: |holds a run") as caught:
        opened(tmp_path)
    assert said in str(caught.value)
    assert (tmp_path / layout.RUN_FILE).read_bytes() == text


HIDING = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the service say that every hidden model is a Nova; return the ids it is asked about."""
    ids: list[str] = []

    def answer(_client: Any, model: Any, _clock: Any) -> str:
        ids.append(model.id)
        return "nova"

    monkeypatch.setattr(run_folder, "ask_family", answer)
    return ids


def test_a_family_that_the_id_hides_is_asked_once_and_recorded(
    tmp_path: Path, asked: list[str]
) -> None:
    """Later opens, on any machine, take it from the run; naming the same one changes nothing."""
    first = opened(tmp_path, model={"id": HIDING})
    assert first.config.model.family == "nova"
    recorded = json.loads((tmp_path / layout.RUN_FILE).read_bytes())["config"]["model"]
    assert recorded == {"id": HIDING, "invocation": "invoke_model", "family": "nova"}
    assert opened(tmp_path, model={"id": HIDING}).config == first.config
    assert opened(tmp_path, model={"id": HIDING, "family": "nova"}).config == first.config
    assert asked == [HIDING]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"id": HIDING, "family": "anthropic"}, "another model.family"),
        ({"id": HIDING.replace("abc", "xyz")}, "another model.id"),
        ({"id": HIDING, "invocation": "converse"}, "another model.family, model.invocation"),
        ({"id": CLAUDE}, "another model.family, model.id"),
    ],
)
def test_another_model_than_the_recorded_one_is_refused(
    tmp_path: Path, asked: list[str], model: dict[str, str], said: str
) -> None:
    """Its bodies are of one family; nothing is asked to find out."""
    opened(tmp_path, model={"id": HIDING})
    with pytest.raises(RunFolderError, match=rf"holds a run with {said}\. "):
        opened(tmp_path, model=model)
    assert asked == [HIDING]


def test_a_family_that_is_named_is_not_asked_for(tmp_path: Path, asked: list[str]) -> None:
    """It is recorded, and a later config may leave it out."""
    first = opened(tmp_path, model={"id": HIDING, "family": "anthropic"})
    assert opened(tmp_path, model={"id": HIDING}).config == first.config
    assert asked == []


def test_where_nobody_tells_the_family_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the same folder can be begun with model.family set."""

    def refuse(*_: Any) -> str:
        raise ConfigError("set model.family")

    monkeypatch.setattr(run_folder, "ask_family", refuse)
    with pytest.raises(ConfigError, match=r"set model\.family"):
        opened(tmp_path / "new", model={"id": HIDING})
    assert not (tmp_path / "new").exists()
    assert opened(tmp_path / "new", model={"id": HIDING, "family": "nova"}).run_id


URIS = st.one_of(
    st.text(min_size=1),
    st.text(st.sampled_from("abcXYZ019-_./ é="), min_size=1).map(lambda t: f"s3://bucket/{t}"),
)


@given(URIS)
def test_a_run_id_fits_every_name_that_is_made_of_it(uri: str) -> None:
    """Job names, tokens and S3 paths have patterns and lengths; a folder may have any name."""
    run_id = new_run_id(uri)
    plan = plan_job(run_id, layout.shard_id(99_999, 99), "0" * 64, CLAUDE, 10)
    assert JOB_NAME.fullmatch(plan.job_name)
    assert len(plan.job_name) <= JOB_NAME_MAX
    assert S3_URI.fullmatch(f"s3://bucket/{run_id}/x")


def test_two_runs_in_the_same_folder_have_two_ids() -> None:
    """A folder that is deleted and begun anew must not find the old one's jobs."""
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
def test_a_run_id_can_be_read(uri: str, slug: str) -> None:
    """It begins as the folder does."""
    assert new_run_id(uri).rsplit("-", 1)[0] == slug
