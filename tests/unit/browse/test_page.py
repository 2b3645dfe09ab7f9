"""`bedrock-spark report`: the page of a run, from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark.cli import main
from bedrock_spark.cli import report as command
from bedrock_spark.errors import ExitCode
from bedrock_spark.fanout.slots import Slots
from bedrock_spark.page import render
from bedrock_spark.report import Ending, Failure, Reporter
from bedrock_spark.report.gather import _allowed_slots
from bedrock_spark.report.live import look_at
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import Cleaned
from bedrock_spark.run_folder.lease import CLEAN, Lease
from bedrock_spark.run_folder.ledger import Ledger, LedgerState
from bedrock_spark.run_folder.ledger.events import Seen, Submitted, Submitting, Swept
from bedrock_spark.run_folder.run import Run
from tests.unit.browse.finished_run import finished_run
from tests.unit.browse.test_show import run as shown_run
from tests.unit.fakes import FakeClock
from tests.unit.page.numbers import text_of

run_with_answers = shown_run
NAME, ARN = "run-shard-00000-00-a1", "arn:aws:bedrock:us-east-1:1:model-invocation-job/j1"


def submit_job(run: Run, at: float) -> None:
    """Write a job that runs and has processed two of its records."""
    ledger = Ledger(run.storage)
    ledger.replay()
    seen = Seen(NAME, ARN, "InProgress", None, (6, 2, 2, 0), at, times=(at, None))
    job = Submitting("shard-00000-00", 1, NAME, "t", at)
    slots = {"": {"most": 20, "learnt": 7}, "west": {"most": 5, "learnt": None}}
    ledger.append([job, Submitted(NAME, ARN, at), seen, Swept({}, slots, at)])


def end_job(run: Run, at: float) -> None:
    ledger = Ledger(run.storage)
    ledger.replay()
    ledger.append([Seen(NAME, ARN, "Completed", None, (6, 6, 6, 0), at, times=(at - 60, at))])


def test_the_command_writes_the_page_of_the_last_report(tmp_path: Path) -> None:
    """It is the one in the run folder, byte for byte; nothing in the folder changes."""
    run = finished_run(tmp_path / "run")
    Reporter(FakeClock()).write(run, Ending("done"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    out = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["report", run.storage.uri, "--out", str(out)])
    assert (result.exit_code, result.stdout) == (0, f"{out}: the run {run.run_id} (done)\n")
    assert out.read_bytes() == run.storage.read(layout.REPORT_PAGE)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    result = CliRunner().invoke(main, ["report", run.storage.uri, "--out", str(out), "--json"])
    assert json.loads(result.stdout) == json.loads(run.storage.read(layout.REPORT_FILE))


def test_prompts_and_answers_are_read_only_for_samples(
    run_with_answers: Run, tmp_path: Path
) -> None:
    """Of each outcome in turn; a record has all its answers and errors."""
    run, out = run_with_answers, tmp_path / "page.html"
    Reporter(FakeClock()).write(run, Ending("done"))
    report = json.loads(run.storage.read(layout.REPORT_FILE))
    report["outcomes"] |= {"waiting": 0, "ok": 3, "error": 1}
    run.storage.write(layout.REPORT_FILE, json.dumps(report).encode())
    pages = []
    for number in ("0", "2"):
        arguments = ["report", run.storage.uri, "--out", str(out), "--samples", number]
        assert CliRunner().invoke(main, arguments).exit_code == 0
        pages.append(text_of(out.read_text(encoding="utf-8")))
    assert "Samples" not in pages[0]
    assert '"n":' not in pages[0]
    assert pages[1].count("Prompt {") == 2
    assert '{"n":0}' in pages[1].replace(" ", "")
    assert '"text": "' in pages[1] or '"text":"' in pages[1]


def test_a_run_that_goes_on_has_its_jobs_as_they_are_now(tmp_path: Path) -> None:
    """The state is that of no command: the last one may be the one before."""
    run, clock = finished_run(tmp_path), FakeClock()
    Reporter(clock).write(run, Ending("failed", "batch"))
    submit_job(run, clock.now())
    clock.sleep(30)
    look = look_at(run, clock)
    assert look.goes_on
    assert (look.report["state"], look.report["error"]) == ("unfinished", None)
    assert look.report["jobs"] == {"InProgress": 1}
    assert [bar["ends"] - bar["begins"] for bar in look.report["timeline"]["bars"]] == [30]
    assert sum(look.report["timeline"]["records"]["batch"]) == 2
    assert look.report["timeline"]["allowed_slots"] == 12
    assert "of 12 that are allowed" in text_of(render(look.report))


def test_a_report_that_is_behind_its_jobs_is_made_again(tmp_path: Path) -> None:
    """Its process was killed before it could write one."""
    run, clock = finished_run(tmp_path), FakeClock()
    submit_job(run, clock.now())
    Reporter(clock).write(run, Ending("failed", "batch", Failure("JobError", "why")))
    clock.sleep(60)
    end_job(run, clock.now())
    look = look_at(run, clock)
    assert not look.goes_on
    assert look.report["jobs"] == {"Completed": 1}
    error = {"kind": "JobError", "message": "why"}
    assert (look.report["state"], look.report["error"]) == ("failed", error)
    Reporter(clock).write(run, Ending("unfinished", "batch"))
    last = json.loads(run.storage.read(layout.REPORT_FILE))
    clock.sleep(60)
    assert look_at(run, clock).report == last


@pytest.mark.parametrize(
    ("targets", "allowed"),
    [
        ({"": {"most": 20, "learnt": 7}, "west": {"most": 5, "learnt": None}}, 12),
        ({"": {"most": 20, "learnt": 0}, "west": {"most": 5}}, 5),  # the account allows none
        ({"": {"most": 5, "learnt": 9}}, 5),
        ({}, None),
    ],
)
def test_the_slots_that_are_allowed_are_those_of_the_scheduler(
    targets: dict[str, Any], allowed: int | None
) -> None:
    assert _allowed_slots(LedgerState(slots=targets)) == allowed
    caps = []
    for values in targets.values():
        slots = Slots(values["most"])
        slots.restore(values)
        caps.append(slots.cap)
    assert allowed == (sum(caps) if caps else None)


def test_the_page_of_a_cleaned_run_is_that_of_its_last_report(tmp_path: Path) -> None:
    """Also while the clean goes on, or after it was killed. Samples are deleted, and refused."""
    run = finished_run(tmp_path / "run")
    Reporter(FakeClock()).write(run, Ending("done"))
    page, out = run.storage.read(layout.REPORT_PAGE), tmp_path / "page.html"
    clock = FakeClock(4e9)
    Ledger(run.storage).append([Swept({}, {}, 1.0)])
    run.storage.create(layout.CLEANED_FILE, Cleaned(4e9, ("report",)).to_json())
    with Lease(run.storage, clock, CLEAN):
        result = CliRunner().invoke(main, ["report", run.storage.uri, "--out", str(out)])
        assert (result.exit_code, result.stdout) == (0, f"{out}: the run {run.run_id} (done)\n")
    assert out.read_bytes() == page
    result = CliRunner().invoke(main, ["report", run.storage.uri, "--samples", "1"])
    assert result.exit_code == ExitCode.CONFIG
    assert "was cleaned at" in result.stderr


def test_watch_renews_the_page_until_the_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last page is not read again by the browser."""
    run, out, pages = finished_run(tmp_path / "run"), tmp_path / "page.html", []

    class Clock(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            pages.append(out.read_text(encoding="utf-8"))
            if len(pages) == 2:
                end_job(run, self.now())
                Reporter(self).write(run, Ending("done"))

    submit_job(run, Clock().now())
    monkeypatch.setattr(command, "SystemClock", Clock)
    arguments = ["report", run.storage.uri, "--out", str(out), "--watch", "--every", "7"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (0, f"{out}: the run {run.run_id} (done)\n")
    assert len(pages) == 2
    assert all('http-equiv="refresh" content="7"' in page for page in pages)
    assert "Batch jobs have processed 2 records so far" in pages[0]
    assert 'http-equiv="refresh"' not in out.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    out = tmp_path / "no folder" / "page.html"
    result = CliRunner().invoke(main, ["report", run.storage.uri, "--out", str(out)])
    assert result.exit_code == ExitCode.CONFIG
    assert f"--out {out}: cannot be written" in " ".join(result.stderr.split())
