"""All runs below a prefix."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.runs import find_runs
from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from bedrock_spark.run_folder import layout
from tests.unit.browse.finished_run import finished_run
from tests.unit.fakes import report_json

AWS = AwsSettings()
REPORT = {
    "version": 1,
    "state": "done",
    "stage": "report",
    "rows": 13,
    "outcomes": {"ok": 9, "error": 4},
    "cost": {"total": 1.25},
    "started_at": "2099-11-02T08:00:00Z",
    "ended_at": "2099-11-02T09:00:00Z",
}


def report_on(folder: Path) -> None:
    """Write the last report of a finished run into its folder."""
    run_id = json.loads((folder / layout.RUN_FILE).read_text())["run_id"]
    (folder / layout.REPORT_FILE).write_text(json.dumps(report_json(**REPORT, run_id=run_id)))


def test_runs_are_found_at_three_levels_and_the_newest_is_first(tmp_path: Path) -> None:
    for name in ("a", "team/b", "team/table/c", "team/table/date/too-deep"):
        finished_run(tmp_path / name)
    report_on(tmp_path / "team" / "b")
    found = find_runs(str(tmp_path), AWS)
    names = [run.run_uri.removeprefix(f"{tmp_path}/") for run in found]
    assert sorted(names) == ["a", "team/b", "team/table/c"]
    (reported,) = [run for run in found if run.state == "done"]
    assert names[0] == "team/b"
    assert (reported.rows, reported.ok, reported.cost) == (13, 9, 1.25)
    others = [run for run in found if run is not reported]
    assert {run.state for run in others} == {"begun"}
    assert all(run.begun_at for run in others)


def test_a_run_folder_itself_is_a_run(tmp_path: Path) -> None:
    finished_run(tmp_path)
    assert [run.run_uri for run in find_runs(str(tmp_path), AWS)] == [str(tmp_path)]


def test_a_damaged_folder_hides_no_other_run(tmp_path: Path) -> None:
    finished_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / layout.RUN_FILE).write_text("[")
    found = find_runs(str(tmp_path), AWS)
    assert sorted(run.problem or "" for run in found) == ["", "run.json is damaged"]


def test_a_prefix_without_runs_has_none(tmp_path: Path) -> None:
    assert find_runs(str(tmp_path / "nothing"), AWS) == []


def test_the_command_lists_them(tmp_path: Path) -> None:
    finished_run(tmp_path / "b")
    report_on(tmp_path / "b")
    result = CliRunner().invoke(main, ["runs", str(tmp_path)])
    assert result.exit_code == ExitCode.DONE
    assert result.stdout.splitlines() == [
        "begun                state          rows  ok  cost   run",
        f"2099-11-02 08:00:00  done (report)  13    9   $1.25  {tmp_path}/b",
        f"{tmp_path}: 1 run",
    ]
    as_json = json.loads(CliRunner().invoke(main, ["runs", str(tmp_path), "--json"]).stdout)
    assert [run["state"] for run in as_json["runs"]] == ["done"]
