"""Opening a run: begun once, the same on every machine, never another run by mistake."""

from __future__ import annotations

import json
from dataclasses import replace
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
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Resumed
from bedrock_spark.run_folder.manifest import RunManifest, commit_manifest
from bedrock_spark.run_folder.run import (
    begin_run,
    check_not_replaced,
    find_run,
    new_run_id,
    open_run,
)
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import ACCOUNT, CLAUDE, PROVISIONED, FakeClock, config_values


def opened_in(folder: Path, **sections: Any) -> run_folder.Run:
    return open_run(parse_config(config_values(str(folder), **sections)), FakeClock(1_000.0))


def open_in(folder: Path, **sections: Any) -> run_folder.Run:
    """Open a run, and begin it if it is new."""
    return begin_run(opened_in(folder, **sections))


def commit(run: run_folder.Run) -> run_folder.Run:
    """Commit prepare: from now on its config is fixed."""
    commit_manifest(run.storage, RunManifest(run.run_id, 0, "a INT", (), ()))
    return run


def read_run(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / layout.RUN_FILE).read_bytes())
    return described


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
    described = read_run(tmp_path)
    assert described["run_id"] == run.run_id
    assert described["created_at"] == 1_000.0
    assert parse_config(described["config"]) == run.config
    assert {"bedrock_spark", "python", "boto3", "pyspark"} <= described["versions"].keys()


def test_run_json_has_digests_of_the_config_and_of_what_is_asked(tmp_path: Path) -> None:
    """Of the request alone, also if it is of another run; what happens to answers is no part."""
    one, same, kept, other = (tmp_path / name for name in ("1", "2", "3", "4"))
    open_in(one)
    open_in(same)
    asked = config_values()["request"]
    open_in(kept, request=asked | {"on_truncated": "keep"})
    open_in(other, request=asked | {"prompt": "Sing {{ body }}"})
    of_config, of_request = (
        [read_run(folder)["digests"][name] for folder in (one, same, kept, other)]
        for name in ("config", "request")
    )
    assert len(set(of_config)) == 4
    assert len(of_config[0]) == len(of_request[0]) == 64
    assert of_request[0] == of_request[1] == of_request[2] != of_request[3]


def test_two_processes_that_begin_at_once_open_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one cannot create run.json, whether it found none earlier or now."""
    runs = [opened_in(tmp_path) for _ in range(3)]
    assert len({run.run_id for run in runs}) == 3
    first, second = begin_run(runs[0]), begin_run(runs[1])
    assert (first.run_id, second.run_id) == (runs[0].run_id, runs[0].run_id)
    reads: list[str] = []
    read = LocalStorage.read_version

    def read_too_early(self: LocalStorage, key: str) -> tuple[bytes, str] | None:
        reads.append(key)
        return None if len(reads) == 1 else read(self, key)

    monkeypatch.setattr(LocalStorage, "read_version", read_too_early)
    assert begin_run(replace(runs[2], is_first=False)).run_id == first.run_id
    assert len(reads) > 1


def test_opening_a_run_writes_nothing(tmp_path: Path) -> None:
    """A config that is refused later leaves no folder behind."""
    run = opened_in(tmp_path / "new")
    assert not run.is_begun
    assert not (tmp_path / "new").exists()


CHANGED = pytest.mark.parametrize(
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


@CHANGED
def test_settings_that_shape_the_records_may_not_change(
    tmp_path: Path, changed: dict[str, Any], keys: str
) -> None:
    """Otherwise rows of one run would get different questions. The error names the keys."""
    commit(open_in(tmp_path))
    with pytest.raises(RunFolderError) as caught:
        open_in(tmp_path, **changed)
    assert f"holds a run with another {keys}" in str(caught.value)
    assert "Another" not in str(caught.value)


@CHANGED
def test_a_corrected_config_replaces_one_that_nothing_depends_on(
    tmp_path: Path, changed: dict[str, Any], keys: str
) -> None:
    """Until prepare is committed. The run is a new one: it gets another id."""
    first = open_in(tmp_path)
    corrected = opened_in(tmp_path, **changed)
    assert read_run(tmp_path)["run_id"] == first.run_id  # opening it changes nothing
    second = begin_run(corrected)
    assert second.run_id != first.run_id
    assert parse_config(read_run(tmp_path)["config"]) == second.config
    assert opened_in(tmp_path, **changed).run_id == second.run_id
    with pytest.raises(RunFolderError, match="begun this run again with another config"):
        check_not_replaced(first)
    check_not_replaced(second)
    commit(second)
    with pytest.raises(RunFolderError, match="holds a run with another"):
        opened_in(tmp_path)


@CHANGED
def test_a_config_is_fixed_by_a_job_in_the_ledger_too(
    tmp_path: Path, changed: dict[str, Any], keys: str
) -> None:
    """Even if somebody deleted the manifest, or run.json itself."""
    run = open_in(tmp_path)
    Ledger(run.storage).append([Resumed(1.0)])
    with pytest.raises(RunFolderError, match=f"holds a run with another {keys}"):
        opened_in(tmp_path, **changed)
    run.storage.delete([layout.RUN_FILE])
    with pytest.raises(RunFolderError, match=r"has a run, but no run\.json; restore it"):
        opened_in(tmp_path)


OTHER = {"request": {"prompt": "Another {{ body }}", "max_tokens": 40}}


def test_of_two_processes_with_other_configs_at_most_one_goes_on(tmp_path: Path) -> None:
    """One prepares while the other one replaces its config; whatever the order, one is refused."""
    first, corrected = open_in(tmp_path), opened_in(tmp_path, **OTHER)
    second = begin_run(corrected)
    with pytest.raises(RunFolderError, match="End one of the two"):
        check_not_replaced(first)  # prepare calls it before and after it commits
    commit(second)
    with pytest.raises(RunFolderError, match="holds a run with another request"):
        opened_in(tmp_path)


def test_a_run_that_commits_while_it_is_replaced_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process finds the manifest after its write, and puts the old run.json back."""
    first, corrected = open_in(tmp_path), opened_in(tmp_path, **OTHER)
    written = (tmp_path / layout.RUN_FILE).read_bytes()
    replace_object, replaced = LocalStorage.replace, []

    def commit_before(self: LocalStorage, key: str, data: bytes, version: str | None) -> str:
        if not replaced:
            commit(first)
        replaced.append(key)
        return replace_object(self, key, data, version)

    monkeypatch.setattr(LocalStorage, "replace", commit_before)
    with pytest.raises(RunFolderError, match="holds a run with another request"):
        begin_run(corrected)
    assert (tmp_path / layout.RUN_FILE).read_bytes() == written
    check_not_replaced(first)


def test_another_run_uri_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """A copy of the folder is not the run: its jobs write into the old folder."""
    open_in(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / layout.RUN_FILE).write_bytes((tmp_path / "a" / layout.RUN_FILE).read_bytes())
    with pytest.raises(RunFolderError, match="with another run_uri"):
        open_in(tmp_path / "b")


def test_all_other_settings_may_change(tmp_path: Path) -> None:
    """The newest config is used: slots, attempts, tags, fallback, results, endpoint."""
    first = commit(open_in(tmp_path))
    reopened = open_in(
        tmp_path,
        batch={"max_active_jobs": 3, "attempts": 5, "tags": {"a": "b"}},
        fallback={"model_id": PROVISIONED},
        results={"table": "t"},
        endpoint_url="http://localhost:1",
    )
    assert reopened.run_id == first.run_id
    assert reopened.config.batch.max_active_jobs == 3
    assert (reopened.aws.region, reopened.aws.endpoint_url) == ("us-east-1", "http://localhost:1")


def test_the_region_of_a_run_is_found_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes and executors use it, whatever their own environment says."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    first = commit(open_in(tmp_path, batch={"region": None}))
    assert (first.aws.region, first.config.batch.region) == ("ap-south-1", "ap-south-1")
    assert read_run(tmp_path)["region"] == "ap-south-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for region in (None, "ap-south-1"):
        again = open_in(tmp_path, batch={"region": region})
        assert (again.run_id, again.aws, again.config) == (first.run_id, first.aws, first.config)
    assert find_run(str(tmp_path), "eu-west-1").aws == first.aws
    monkeypatch.delenv("AWS_REGION")
    assert find_run(str(tmp_path)).aws == first.aws


def test_another_region_is_refused_once_prepare_is_committed(tmp_path: Path) -> None:
    """Its jobs are where they were made."""
    first = open_in(tmp_path)
    moved = open_in(tmp_path, batch={"region": "eu-west-1"})
    assert moved.run_id != first.run_id
    commit(moved)
    with pytest.raises(
        RunFolderError, match=r"run in the Region eu-west-1, and batch\.region is us"
    ):
        open_in(tmp_path)


class InS3(LocalStorage):
    """A local folder that says that it is in S3."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.uri = "s3://bucket/run"


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Let run folders be in S3, and STS tell the first of these accounts."""
    told: list[str | None] = [ACCOUNT]
    monkeypatch.setattr(run_folder, "open_storage", lambda *_: InS3(tmp_path))
    monkeypatch.setattr(run_folder, "account_id", lambda _: told[0])
    return told


def test_another_account_is_refused(tmp_path: Path, accounts: list[str | None]) -> None:
    """It cannot see the jobs of the run. If STS does not tell the account, the run goes on."""
    run = commit(open_in(tmp_path))
    assert (run.account, read_run(tmp_path)["account"]) == (ACCOUNT, ACCOUNT)
    accounts[0] = "999999999999"
    for opening in (lambda: open_in(tmp_path), lambda: find_run("s3://bucket/run")):
        with pytest.raises(RunFolderError, match=f"run of the AWS account {ACCOUNT}, and the cred"):
            opening()
    for account in (None, ACCOUNT):
        accounts[0] = account
        assert open_in(tmp_path).run_id == find_run("s3://bucket/run").run_id == run.run_id


def test_an_account_that_was_not_told_is_noted_as_unknown(
    tmp_path: Path, accounts: list[str | None]
) -> None:
    """A private network may have no way to STS. Then any account may carry the run on."""
    accounts[0] = None
    run = commit(open_in(tmp_path))
    assert read_run(tmp_path)["account"] is None
    accounts[0] = ACCOUNT
    assert open_in(tmp_path).run_id == run.run_id


def test_a_run_in_s3_without_a_region_is_refused(
    tmp_path: Path, accounts: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError, match=r"batch\.region: is not set, and neither --region"):
        open_in(tmp_path, batch={"region": None})
    assert list(tmp_path.iterdir()) == []


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
    assert recorded == {"id": OPAQUE, "invocation": None, "family": "nova"}
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
    commit(open_in(tmp_path, model={"id": OPAQUE}))
    with pytest.raises(RunFolderError, match=rf"holds a run with {keys}\. "):
        open_in(tmp_path, model=model)
    assert asked == [OPAQUE]


def test_a_configured_family_is_not_asked_for(tmp_path: Path, asked: list[str]) -> None:
    """It is recorded, and a later config may omit it."""
    first = open_in(tmp_path, model={"id": OPAQUE, "family": "anthropic"})
    assert open_in(tmp_path, model={"id": OPAQUE}).config == first.config
    assert asked == []


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        ("acme.chat-1", {"prompt": "{{ a }}"}),
        ("qwen.qwen3-vl-235b-a22b", {"prompt": "{{ a }}", "images": "photo"}),
    ],
)
def test_a_run_keeps_that_its_records_go_through_converse(
    tmp_path: Path, model: str, request_: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version may know a family for the model: the records of this run stay Converse's."""
    sections: dict[str, Any] = {"model": {"id": model}, "request": request_}
    first = open_in(tmp_path, **sections)
    assert first.config.model.family == "converse"
    monkeypatch.setattr(run_folder, "converse_reason", lambda _: None)
    assert open_in(tmp_path, **sections).config == first.config
    commit(first)
    with pytest.raises(RunFolderError, match=r"holds a run with another model\.family"):
        open_in(tmp_path, model={"id": model, "family": "gpt_oss"}, request=request_)


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
    plan = plan_job(run_id, layout.shard_id(99_999, 99), "0" * 64, CLAUDE, 10, prepare_id="p")
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
