"""report.json is written whenever a command ends, and never hides the error that ended it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import BedrockSparkError, BudgetError, CanaryError, RunHeldError
from bedrock_spark.report import Ending, Reporter
from bedrock_spark.report.findings import unpublished_finding
from bedrock_spark.report.values import STATES
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Held
from bedrock_spark.run_folder.manifest import RunManifest, Shard, commit_manifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import CLAUDE, PROVISIONED, FakeClock, make_config


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a prepared run of 50 rows that nobody has collected."""
    storage = LocalStorage(str(tmp_path / "run"))
    commit_manifest(storage, RunManifest("run-a", 50, "a INT", (Shard("s0", 50, 1, "x"),), ()))
    config = make_config(str(tmp_path / "run"), fallback={"model_id": PROVISIONED})
    return Run("run-a", config, storage, AwsSettings("us-east-1"), begun_at=1_700_000_000.0)


def written(run: Run) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run.storage.read("report.json"))
    return values


def end(run: Run, exc: BaseException, stage: str = "canary") -> Reporter:
    """End a command in a stage with an error."""
    reporter = Reporter(FakeClock())
    with pytest.raises(type(exc)), reporter.command(lambda: run), reporter.timed(stage):
        raise exc
    return reporter


@pytest.mark.parametrize(
    ("exc", "state", "message"),
    [
        (CanaryError("the model refuses"), "failed", "the model refuses"),
        (BudgetError("too dear"), "failed", "too dear"),
        (KeyboardInterrupt(), "interrupted", None),
        (ValueError("a row's secret"), "failed", None),
        (OSError("secret"), "failed", None),
    ],
)
def test_an_error_is_in_the_report(
    run: Run, exc: BaseException, state: str, message: str | None
) -> None:
    """Its kind and its message, unless it is not our own: then it might show a row."""
    end(run, exc)
    report = written(run)
    assert (report["state"], report["stage"]) == (state, "canary")
    assert report["error"] == {"kind": type(exc).__name__, "message": message}
    assert report["outcomes"]["waiting"] == report["rows"] == 50
    assert "secret" not in json.dumps(report)


def test_a_report_says_when_and_with_which_models(run: Run) -> None:
    """Times are in UTC, as ISO 8601."""
    clock = FakeClock()
    Reporter(clock).write(run, Ending())
    report = written(run)
    assert report["started_at"] == "2023-11-14T22:13:20Z"
    assert report["ended_at"].endswith("Z")
    assert (report["version"], report["region"]) == (1, "us-east-1")
    assert (report["model_id"], report["fallback_model_id"]) == (CLAUDE, PROVISIONED)


@pytest.mark.parametrize(
    ("exc", "state"),
    [(BedrockSparkError("refused"), "held"), (KeyboardInterrupt(), "interrupted")],
)
def test_a_held_run_says_so(run: Run, exc: BaseException, state: str) -> None:
    """The ledger knows it, whatever the error was."""
    ledger = Ledger(run.storage)
    ledger.load()
    ledger.append([Held("breaker", "nothing is answered", 1.0)], 1.0)
    end(run, exc, "batch")
    report = written(run)
    assert report["state"] == state
    kinds = [f["kind"] for f in report["findings"]]
    assert kinds == (["held"] if state == "held" else [])


def test_a_refused_process_leaves_the_report_alone(run: Run) -> None:
    """The one that works will write it."""
    end(run, RunHeldError("another controls it"))
    assert not run.storage.list("report.json")


def test_without_a_run_there_is_no_report(run: Run) -> None:
    """The folder must not be made by a command that was refused."""
    end(replace(run, is_begun=False), BedrockSparkError("wrong"))
    assert not run.storage.list("report.json")


def test_the_innermost_stage_and_the_outermost_command_count(run: Run) -> None:
    """A command that calls others writes one report, at its end."""
    reporter = Reporter(FakeClock())
    with reporter.command(lambda: run):
        with reporter.command(lambda: run, reports_success=True), reporter.timed("prepare"):
            pass
        assert not run.storage.list("report.json")
    with reporter.command(lambda: run, reports_success=True):
        pass
    report = written(run)
    assert (report["state"], report["stage"], report["error"]) == ("unfinished", "prepare", None)
    assert list(report["seconds"]) == ["prepare"]


def test_a_report_that_cannot_be_written_hides_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The command ends with its own error; a warning says what is missing."""

    def refuse(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("bedrock_spark.report.reporter.write_report", refuse)
    end(run, CanaryError("the model refuses"))
    assert "report.json could not be written: the disk is full" in caplog.text


def test_the_page_is_written_beside_the_report_and_never_ends_a_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If it cannot be made, the report is written all the same, and a warning says why."""
    Reporter(FakeClock()).write(run, Ending("done"))
    assert run.run_id.encode() in run.storage.read("report.html")

    def fail(*_: Any) -> None:
        raise ValueError("no color")

    monkeypatch.setattr("bedrock_spark.page.render", fail)
    report = Reporter(FakeClock()).write(run, Ending("held"))
    assert written(run)["state"] == report.state
    assert "report.html could not be written: ValueError('no color')" in caplog.text


def test_a_finding_of_a_kind_replaces_the_earlier_one(run: Run) -> None:
    """And can be forgotten."""
    reporter = Reporter(FakeClock())
    for detail in ("a", "b"):
        reporter.note(unpublished_finding(detail))
    assert [f["detail"] for f in reporter.write(run, Ending()).findings] == ["b"]
    reporter.forget("not_published")
    assert reporter.write(run, Ending()).findings == []


def test_the_places_of_the_last_report_stay_until_something_is_collected(run: Run) -> None:
    """A command that does not publish does not unpublish."""
    reporter = Reporter(FakeClock(), units=[], published="there", partial="here")
    reporter.write(run, Ending())
    end(run, CanaryError("no"))
    assert (written(run)["published"], written(run)["partial"]) == ("there", "here")


def test_the_states_are_all_documented() -> None:
    """docs/report.md has a row for each."""
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    assert all(f"\n| `{state}` |" in text for state in STATES)


def test_every_key_is_documented_and_no_other(run: Run) -> None:
    """docs/report.md lists the keys of report.json, in no table more and in none less."""
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    table = text.split("## The states")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = [key.strip(" `") for cell in cells for key in cell.split(",")]
    Reporter(FakeClock()).write(run, Ending())
    assert sorted(documented) == sorted(written(run))
