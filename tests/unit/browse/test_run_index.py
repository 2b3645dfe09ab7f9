"""The index of the runs below a prefix: what it shows, and how little it reads for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.run_index import ORDERS, RUNS_A_PAGE, RunIndex, RunsPage, RunsQuery
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock, report_json

LONG = 60.0  # the work takes milliseconds


def write_run(folder: Path, number: int, report: bool = True, **values: Any) -> None:
    """Write what the index reads of a run. Each begins a minute after the one before."""
    folder.mkdir(parents=True)
    run_id = f"run-{number:05d}"
    model = {"model": {"id": f"model-{number % 3}"}}
    begun = 1_800_000_000 + 60 * number
    description = {"run_id": run_id, "config": model, "created_at": begun}
    (folder / layout.RUN_FILE).write_text(json.dumps(description))
    if report:
        own = report_json(version=1, run_id=run_id, rows=number, started_at=None, **values)
        (folder / layout.REPORT_FILE).write_text(json.dumps(own))


def index_of(folder: Path, clock: FakeClock | None = None) -> RunIndex:
    return RunIndex(str(folder), AwsSettings(), clock or FakeClock())


def names(page: RunsPage) -> list[str]:
    return [shown.run.run_uri.rsplit("/", 1)[-1] for shown in page.runs]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys of all objects that are read from now on."""
    keys: list[str] = []
    read = LocalStorage.read_if_present

    def counted(self: LocalStorage, key: str) -> bytes | None:
        keys.append(key)
        return read(self, key)

    monkeypatch.setattr(LocalStorage, "read_if_present", counted)
    return keys


def test_the_newest_runs_are_on_the_first_page_and_only_their_reports_are_read(
    tmp_path: Path, reads: list[str]
) -> None:
    for number in range(130):
        write_run(tmp_path / f"{number * 7 % 130:03d}-{number}", number)
    index = index_of(tmp_path)
    first = index.page(RunsQuery(), LONG)
    assert [shown.run.rows for shown in first.runs] == list(range(129, 79, -1))
    assert (first.found, first.known, first.pages, first.is_complete) == (130, 130, 3, True)
    assert sum(key.endswith(layout.REPORT_FILE) for key in reads) == RUNS_A_PAGE
    reads.clear()
    last = index.page(RunsQuery(page=3), LONG)
    assert [shown.run.rows for shown in last.runs] == list(range(29, -1, -1))
    assert not any(key.endswith(layout.RUN_FILE) for key in reads)
    assert sum(key.endswith(layout.REPORT_FILE) for key in reads) == 30


def test_new_runs_appear_and_deleted_ones_go(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1)
    write_run(tmp_path / "team" / "b", 2)
    clock = FakeClock()
    index = index_of(tmp_path, clock)
    assert names(index.page(RunsQuery(), LONG)) == ["b", "a"]
    write_run(tmp_path / "team" / "c", 3)
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    (tmp_path / "a").rmdir()
    clock.sleep(60)
    assert names(index.page(RunsQuery(), LONG)) == ["c", "b"]


def test_a_search_needs_no_report(tmp_path: Path, reads: list[str]) -> None:
    for number in range(9):
        write_run(tmp_path / f"run{number}", number)
    found = index_of(tmp_path).page(RunsQuery(text="MODEL-2"), LONG)
    assert names(found) == ["run8", "run5", "run2"]
    assert found.read is None
    assert sum(key.endswith(layout.REPORT_FILE) for key in reads) == 3


def test_states_and_amounts_are_those_of_all_reports(tmp_path: Path) -> None:
    for number in range(70):
        state = "held" if number % 10 == 4 else "done"
        outcomes = {"ok": 0 if number == 33 else number}
        cost = {"total": float(100 - number)}
        write_run(tmp_path / f"r{number:02d}", number, state=state, outcomes=outcomes, cost=cost)
    write_run(tmp_path / "new", 99, report=False)
    index = index_of(tmp_path)
    held = index.page(RunsQuery(state="held"), LONG)
    assert names(held) == ["r64", "r54", "r44", "r34", "r24", "r14", "r04"]
    assert (held.read, held.is_complete) == (71, True)
    assert names(index.page(RunsQuery(state="begun"), LONG)) == ["new"]
    assert names(index.page(RunsQuery(order="most rows"), LONG))[:2] == ["r69", "r68"]
    assert names(index.page(RunsQuery(order="most rows not ok"), LONG))[0] == "r33"
    assert names(index.page(RunsQuery(order="highest cost"), LONG))[:2] == ["r00", "r01"]
    assert names(index.page(RunsQuery(order="name"), LONG))[0] == "new"
    assert names(index.page(RunsQuery(order="oldest"), LONG))[0] == "r00"


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_each_run_once(order: str, tmp_path: Path) -> None:
    for number in range(60):
        write_run(tmp_path / f"r{number}", number)
    index = index_of(tmp_path)
    shown = [
        n for page in (1, 2) for n in names(index.page(RunsQuery(order=order, page=page), LONG))
    ]
    assert len(shown) == len(set(shown)) == 60


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sort=color: runs can be sorted by newest"):
        index_of(tmp_path).page(RunsQuery(order="color"))


def test_a_run_that_a_process_works_on_is_marked(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1)
    write_run(tmp_path / "b", 2)
    clock = FakeClock()
    with Lease(LocalStorage(str(tmp_path / "a")), clock):
        page = index_of(tmp_path, clock).page(RunsQuery(), LONG)
        assert [shown.goes_on for shown in page.runs] == [False, True]
    assert not any(s.goes_on for s in index_of(tmp_path, clock).page(RunsQuery(), LONG).runs)


def test_stages_are_one_line(tmp_path: Path) -> None:
    """Their runs are not listed again below it."""
    chain = tmp_path / "chain"
    write_run(chain / "extract", 1, outcomes={"ok": 1})
    write_run(chain / "judge", 7, outcomes={"ok": 5})
    stages = [{"name": name, "run_uri": str(chain / name)} for name in ("extract", "judge")]
    (chain / "stages.json").write_text(json.dumps({"format": 1, "stages": stages}))
    index = index_of(tmp_path)
    (before,) = index.page(RunsQuery(), LONG).runs
    assert (before.stages, before.run.state) == (("extract", "judge"), "begun")
    assert before.run.begun_at == "2027-01-15T08:01:00Z"
    reports = [
        {"name": name, "report": json.loads((chain / name / layout.REPORT_FILE).read_text())}
        for name in ("extract", "judge")
    ]
    whole = {"version": 1, "run_uri": "u", "state": "held", "cost": 2.5, "stages": reports}
    (chain / layout.REPORT_FILE).write_text(json.dumps(whole))
    (after,) = index.page(RunsQuery(text="judge"), LONG).runs
    run = after.run
    assert (run.state, run.rows, run.ok, run.cost) == ("held", 7, 5, 2.5)


@pytest.mark.parametrize("name", [layout.RUN_FILE, "stages.json"])
def test_a_damaged_folder_hides_no_other_run(name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "good", 1)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / name).write_text("[")
    page = index_of(tmp_path).page(RunsQuery(), LONG)
    assert sorted(shown.run.problem or "" for shown in page.runs) == ["", f"{name} is damaged"]


def test_a_folder_that_cannot_be_read_is_a_problem_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    page = index_of(tmp_path / "file").page(RunsQuery(), LONG)
    assert page.runs == ()
    assert not page.is_complete
    assert "Not a directory" in (page.problem or "")
