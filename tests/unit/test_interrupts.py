"""After an interrupt, the command says what is true at that moment."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from bedrock_spark.cli import stages
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.interrupts import (
    describe_interrupt,
    exit_code_of,
    interruptible,
)
from bedrock_spark.errors import SparkFailedError, StorageUnavailableError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.run_folder.ledger import Ledger
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import config_values


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_raise_the_same(number: signal.Signals, code: int) -> None:
    """Both are a KeyboardInterrupt, each with its exit code; afterwards the handler is back."""
    before, called = signal.getsignal(number), []

    def work() -> None:
        with interruptible(at_once=lambda: called.append(number)):
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt) as raised:
        work()
    assert exit_code_of(raised.value) == code
    assert called == [number]
    assert signal.getsignal(number) is before


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """A shell starts jobs in the background so: the terminal's Ctrl-C is not meant for them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_error_that_an_interrupt_causes_is_no_failure(
    number: signal.Signals, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call into Java that is cut off ends as an error of Spark, and not as KeyboardInterrupt."""

    def stage(pipeline: Pipeline, display: Display) -> int:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise SparkFailedError("fallback: the connection to Java broke") from None
        raise AssertionError("no signal arrived")

    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config_values(), "run_uri": str(tmp_path / "run")}))
    assert stages.perform(stage, str(path)) == code
    said = capsys.readouterr().err
    assert "interrupted; " in said
    assert "error" not in said
