"""`bedrock-spark stop`: what it does after the jobs are stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bedrock_spark import stopping
from bedrock_spark.cli import main, runs
from bedrock_spark.errors import JobsNotStoppedError
from bedrock_spark.fanout import Controller
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import FakeClock

DAY = 86_400.0


def leave_behind(folder: Path, seconds_ago: float) -> Path:
    """Write what a killed process leaves in a folder."""
    path = folder / "shards" / f".writing-{round(seconds_ago):016x}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("can_stop", [True, False])
def test_stop_deletes_what_killed_processes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_stop: bool
) -> None:
    """In the run folder and in those of targets, if it is a day old; also if a job runs on."""
    fake = FakeRun(tmp_path / "run", [50])
    other = LocalStorage(str(tmp_path / "other"))
    (target,) = fake.controller.targets
    fake.controller.targets = (target, replace(target, name="b", folder=other))
    folders = (tmp_path / "run", tmp_path / "other")
    now = time.time() + 2 * DAY  # the files are written now
    old = [leave_behind(folder, 1) for folder in folders]

    @contextmanager
    def leased(*_: object, **__: object) -> Iterator[Controller]:
        yield fake.controller

    def stop_run(controller: Controller, *_: object) -> object:
        assert all(path.exists() for path in old)
        if not can_stop:
            raise JobsNotStoppedError("1 job cannot be stopped")
        return controller.result()

    monkeypatch.setattr(runs, "prepared_run", lambda *_: (fake.run, fake.manifest))
    monkeypatch.setattr(stopping, "_over", lambda *_: None)
    monkeypatch.setattr(stopping, "leased_controller", leased)
    monkeypatch.setattr(stopping, "stop_run", stop_run)
    monkeypatch.setattr(runs, "SystemClock", lambda: FakeClock(now - 1.5 * DAY))
    assert CliRunner().invoke(main, ["stop", fake.run.storage.uri]).exit_code == 1 - can_stop
    assert all(path.exists() for path in old), "a write of this day may still go on"
    monkeypatch.setattr(runs, "SystemClock", lambda: FakeClock(now))
    done = CliRunner().invoke(main, ["stop", fake.run.storage.uri], catch_exceptions=False)
    assert done.exit_code == 1 - can_stop
    assert not any(path.exists() for path in old)
