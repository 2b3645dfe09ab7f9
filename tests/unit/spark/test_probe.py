"""Driver and executors prove that they share the run folder; without a cluster here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    ExitCode,
    StorageAccessError,
    StorageError,
)
from bedrock_spark.spark import probe
from bedrock_spark.storage import LocalStorage, Storage

DENIED = "s3://b/r/probe/x: An error occurred (AccessDenied). Check the rights"


class Denied(LocalStorage):
    def create(self, key: str, data: bytes) -> None:
        raise StorageAccessError(DENIED, key=key)


class Full(LocalStorage):
    def create(self, key: str, data: bytes) -> None:
        raise StorageError("/run/probe/x: No space left on device", key=key)


class Unwritten(LocalStorage):
    """Loses what is written, as a cache of a network file system may."""

    def create(self, key: str, data: bytes) -> None:
        return


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return a function that replaces Spark by executors, each with a storage of its own.

    It returns the numbers of tasks of the actions that run.
    """

    def start(*storages: Storage | None, alive: int | None = -1, reached: int = 99) -> list[int]:
        actions: list[int] = []

        def run_per_unit(
            _spark: Any, units: Sequence[int], work: Any, _type: Any, _stage: str
        ) -> list[probe.Probed]:
            actions.append(len(units))
            found = []
            for unit in list(units)[:reached]:
                place = unit % len(storages)
                storage = storages[place]
                task = work if storage is None else replace(work, storage=storage)
                monkeypatch.setattr("os.getppid", lambda place=place: 100 + place)
                monkeypatch.setattr("socket.gethostname", lambda place=place: f"worker-{place}")
                found.append(task(unit))
            monkeypatch.setattr("socket.gethostname", lambda: "gateway")
            return found

        monkeypatch.setattr(probe, "is_local", lambda _: False)
        monkeypatch.setattr(probe, "run_per_unit", run_per_unit)
        count = len(storages) if alive == -1 else alive
        monkeypatch.setattr(probe, "count_executors", lambda _: count)
        return actions

    return start


class Session:
    """As much of a Spark session as names its actions."""

    def addTag(self, tag: str) -> None:  # noqa: N802 - Spark's name
        self.tag = tag

    def removeTag(self, tag: str) -> None:  # noqa: N802
        assert self.tag == tag


def check(storage: Storage) -> None:
    probe.check_shared(Session(), storage)  # type: ignore[arg-type]


def test_a_shared_folder_is_proven_by_every_executor(
    cluster: Callable[..., list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One action; nothing is left of it, and a line says what is not proven."""
    actions = cluster(None, None, None)
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        check(LocalStorage(str(tmp_path / "run")))
    assert actions == [3]
    assert list(tmp_path.iterdir()) == []
    (line,) = caplog.messages
    assert "3 executors (hosts: worker-0, worker-1, worker-2)" in line
    assert "Executors that start later were not asked" in line


@pytest.mark.parametrize(
    ("storage", "kind", "code", "text"),
    [
        (LocalStorage, ConfigError, ExitCode.CONFIG, "do not see each other's files there; use an"),
        (Unwritten, ConfigError, ExitCode.CONFIG, "do not see each other's files there; use an"),
        (Denied, StorageAccessError, ExitCode.ACCESS, DENIED),
        (Full, StorageError, ExitCode.FAILED, "No space left on device"),
    ],
)
def test_what_one_executor_cannot_do_is_an_error_with_its_host(
    cluster: Callable[..., list[int]],
    tmp_path: Path,
    storage: type[LocalStorage],
    kind: type[BedrockSparkError],
    code: ExitCode,
    text: str,
) -> None:
    """In one line, and nothing stays on the driver's disk."""
    place = tmp_path / ("elsewhere" if storage is LocalStorage else "run")
    cluster(None, storage(str(place)), None)
    with pytest.raises(kind) as caught:
        check(LocalStorage(str(tmp_path / "run")))
    message = str(caught.value)
    assert caught.value.exit_code == code
    assert text in message
    assert "executor on the host worker-1" in message
    assert ("spark.executorEnv.AWS_ACCESS_KEY_ID" in message) == (kind is StorageAccessError)
    assert "\n" not in message
    assert not (tmp_path / "run").exists()


def test_executors_that_stay_busy_are_named_and_refuse_nothing(
    cluster: Callable[..., list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After three tries. If their disks are others after all, prepare notices before it commits."""
    actions = cluster(None, None, alive=4, reached=3)
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        check(LocalStorage(str(tmp_path / "run")))
    assert actions == [4, 4, 4]
    (line,) = caplog.messages
    assert "is shared by the driver and 2 executors (hosts: worker-0, worker-1)" in line
    assert "2 executors that were busy and those that start later were not asked" in line


def test_a_busy_executor_hides_no_other_one(
    cluster: Callable[..., list[int]], tmp_path: Path
) -> None:
    """One that sees another folder is an error, though others were not reached."""
    cluster(None, LocalStorage(str(tmp_path / "elsewhere")), alive=4, reached=3)
    with pytest.raises(ConfigError, match="on the host worker-1 and the driver"):
        check(LocalStorage(str(tmp_path / "run")))


def test_if_the_number_of_executors_is_unknown_a_few_tasks_are_enough(
    cluster: Callable[..., list[int]], tmp_path: Path
) -> None:
    """Over Spark Connect, for example."""
    actions = cluster(None, None, alive=None)
    check(LocalStorage(str(tmp_path / "run")))
    assert actions == [8]


def test_in_s3_a_few_executors_are_enough(
    cluster: Callable[..., list[int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They have the same rights. Nothing is said."""

    class InS3:
        """As much of S3 as a probe needs."""

        def __init__(self) -> None:
            self.uri = "s3://b/r"
            self._folder = LocalStorage(str(tmp_path / "run"))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._folder, name)

    actions = cluster(None, None, alive=500)
    with caplog.at_level(logging.WARNING, "bedrock_spark"):
        check(InS3())  # type: ignore[arg-type]
    assert actions == [16]
    assert not caplog.messages
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", True),
        ("local[*]", True),
        ("local[4,2]", True),
        ("local-cluster[2,1,900]", False),
        ("spark://127.0.0.1:7077", False),
        ("yarn", False),
        ("k8s://https://x", False),
    ],
)
def test_only_masters_of_one_process_are_local(
    monkeypatch: pytest.MonkeyPatch, master: str, expected: bool
) -> None:
    """They need no proof, so no action runs."""
    context = type("Context", (), {"master": master})
    monkeypatch.setattr(probe, "classic_context", lambda _: context)
    assert probe.is_local(None) == expected  # type: ignore[arg-type]


def test_local_spark_runs_no_action(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probe, "is_local", lambda _: True)
    check(Denied(str(tmp_path / "run")))
    assert list(tmp_path.iterdir()) == []


def test_spark_connect_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server may be on any machine."""
    monkeypatch.setattr(probe, "classic_context", lambda _: None)
    assert not probe.is_local(None)  # type: ignore[arg-type]
