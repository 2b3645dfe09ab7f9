"""An account that allows no job at all: waiting ends, with the service's message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.cli import stages
from bedrock_spark.errors import ExitCode, NoFreeSlotError, NoSlotAtAllError
from bedrock_spark.fanout import watch
from bedrock_spark.fanout.slots import IDLE_REFUSALS
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import make_config
from tests.unit.fanout.test_targets import TwoRegions

MESSAGE = "ServiceQuotaExceededException: your quota of batch jobs is 0"


def refuse(fake: FakeRun) -> None:
    """Let the service refuse every job with this message."""

    def before_create(_: dict[str, Any]) -> None:
        raise NoFreeSlotError(MESSAGE)

    fake.service.before_create = before_create


def test_a_quota_of_0_ends_the_run_with_the_message(
    fake_run: Callable[..., FakeRun], caplog: pytest.LogCaptureFixture
) -> None:
    """After a few refusals, and not at once: the account may have been full until now."""
    fake = fake_run([50] * 3)
    refuse(fake)
    began = fake.clock.time
    with caplog.at_level(logging.WARNING), pytest.raises(NoSlotAtAllError, match=MESSAGE):
        watch(fake.controller)
    assert len(fake.create_calls()) == IDLE_REFUSALS
    assert caplog.text.count(MESSAGE) >= IDLE_REFUSALS
    assert 1_800 <= fake.clock.time - began < 7_200
    fake.restart()
    with pytest.raises(NoSlotAtAllError, match="Service Quotas"):
        watch(fake.controller)
    assert len(fake.create_calls()) == IDLE_REFUSALS


def test_it_ends_with_one_process_per_step_too(fake_run: Callable[..., FakeRun]) -> None:
    """The ledger counts the refusals. After a resume the run tries again, and goes on."""
    fake = fake_run([50] * 3)
    refuse(fake)
    for _ in range(100):
        fake.restart()
        if fake.advance().reason is not None:
            break
        fake.controller.flush()
        fake.clock.time += 300
    assert MESSAGE in str(fake.controller.reason)
    fake.restart()
    fake.controller.resume()
    fake.restart()
    assert fake.advance().reason is None
    assert len(fake.create_calls()) == IDLE_REFUSALS + 1
    fake.service.before_create = lambda request: None
    for _ in range(5):
        fake.clock.time += 3_600
        result = fake.advance()
    assert result.active == 3


@pytest.mark.parametrize("whose", ["own", "same model", "other model"])
def test_while_any_job_is_active_the_run_waits(
    fake_run: Callable[..., FakeRun], whose: str
) -> None:
    """A slot may become free, or the limit may be one of the whole account."""
    fake = fake_run([50] * 3)
    if whose == "own":
        fake.service.slots = 1
        fake.advance()
    else:
        other = {"modelId": "amazon.nova-pro-v1:0"} if whose == "other model" else {}
        fake.service.create({"jobName": "other", "clientRequestToken": "x", **other})
    refuse(fake)
    for _ in range(500):
        fake.clock.time += 300
        assert fake.advance().reason is None


def test_jobs_of_others_that_begin_meanwhile_are_seen(fake_run: Callable[..., FakeRun]) -> None:
    """The account was empty when they were counted first."""
    fake = fake_run([50] * 3)
    refuse(fake)
    fake.advance()
    fake.service.before_create = lambda request: None
    fake.service.create({"jobName": "other", "clientRequestToken": "x"})
    refuse(fake)
    for _ in range(500):
        fake.clock.time += 60
        assert fake.advance().reason is None


def test_a_target_that_works_keeps_the_run_going(tmp_path: Path) -> None:
    """All jobs go there. If it refuses every job as well, the run ends with both messages."""
    fake = TwoRegions(tmp_path / "one", [50] * 30)
    refuse(fake)
    for _ in range(200):
        fake.clock.time += 300
        result = fake.advance()
        fake.away.move_all("Completed")
        if result.is_done:
            break
    assert result.is_done
    assert result.reason is None
    assert len(fake.away.jobs) == 30
    assert len(Ledger(fake.run.storage).replay()) == 30
    fake = TwoRegions(tmp_path / "two", [50] * 3)
    refuse(fake)
    fake.away.slots = 0
    for _ in range(200):
        fake.clock.time += 300
        if fake.advance().reason is not None:
            break
    assert MESSAGE in str(fake.controller.reason)
    assert "no free slot" in str(fake.controller.reason)


def test_the_exit_code_is_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scheduler can tell that the run is held."""

    def stage(*_: object) -> int:
        raise NoSlotAtAllError(MESSAGE)

    monkeypatch.setattr(stages, "open_config", lambda _: {})
    monkeypatch.setattr(stages, "check_stages", lambda *_: None)
    monkeypatch.setattr(stages, "config_of_run", lambda *_: make_config())
    monkeypatch.setattr(stages.Pipeline, "open", lambda *_, **__: None)
    assert stages.perform(stage, "x.yaml") == ExitCode.HELD
    assert MESSAGE in capsys.readouterr().err
