"""After an interrupt, the command says what is true at that moment."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bedrock_spark.cli.interrupts import (
    Terminated,
    describe_interrupt,
    exit_code_of,
    terminable,
)
from bedrock_spark.errors import StorageUnavailableError
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun


@pytest.fixture
def fake_run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path, [100, 100])


def test_before_the_run_is_open() -> None:
    assert "nothing was submitted" in describe_interrupt(None)


def test_what_is_said_at_each_state_of_the_jobs(fake_run: FakeRun) -> None:
    """No job yet, some active, all over: each has its own text, and only active ones can stop."""
    assert "no batch job was submitted yet" in describe_interrupt(fake_run.run)
    fake_run.advance()
    text = describe_interrupt(fake_run.run)
    assert "2 batch jobs keep running" in text
    assert f"bedrock-spark stop {fake_run.run.config.run_uri}" in text
    fake_run.service.move(fake_run.job_name(0), "Completed", succeeded=100)
    fake_run.advance()
    assert "1 batch job keeps running" in describe_interrupt(fake_run.run)
    fake_run.service.move(fake_run.job_name(1), "Completed", succeeded=100)
    fake_run.advance()
    text = describe_interrupt(fake_run.run)
    assert "all batch jobs are over" in text
    assert "stop" not in text


@pytest.mark.parametrize("failure", [StorageUnavailableError("no network"), KeyboardInterrupt()])
def test_a_ledger_that_cannot_be_read(
    fake_run: FakeRun, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is claimed. The user's second interrupt ends the look into the run folder."""

    def fail(_: Ledger) -> None:
        raise failure

    monkeypatch.setattr(Ledger, "replay", fail)
    assert "jobs that were submitted keep running" in describe_interrupt(fake_run.run)


def test_sigterm_takes_the_way_of_ctrl_c() -> None:
    """It is a KeyboardInterrupt with an exit code of its own; afterwards its handler is back."""
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with terminable():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt) as raised:
        work()
    assert isinstance(raised.value, Terminated)
    assert (exit_code_of(raised.value), exit_code_of(KeyboardInterrupt())) == (143, 130)
    assert signal.getsignal(signal.SIGTERM) is before
