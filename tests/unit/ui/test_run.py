"""The page of a run: its report, what is new while it goes on, its jobs and their objects."""

from __future__ import annotations

import html
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from bedrock_spark.browse.row_filter import ErrorGroup
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.report import Ending, Reporter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import Cleaned
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import Held
from bedrock_spark.run_folder.run import Run
from bedrock_spark.ui.looks import Looks
from bedrock_spark.ui.run_view import PARTS
from tests.unit.browse.finished_run import finished_run
from tests.unit.browse.test_page import ARN, NAME, end_job, submit_job
from tests.unit.browse.test_run_index import write_run
from tests.unit.fakes import FakeClock
from tests.unit.ui.conftest import ClientOf

HOSTILE = "<script>alert('row')</script>"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(tmp_path: Path, clock: FakeClock) -> Run:
    """Return a run whose first job runs."""
    made = finished_run(tmp_path / "tickets", (120, 120))
    submit_job(made, clock.now())
    return made


@pytest.fixture
def client(client_of: ClientOf, clock: FakeClock) -> FlaskClient:
    return client_of(clock=clock)


def page_of(client: FlaskClient, path: str, run: Run, **query: Any) -> str:
    answer = client.get(path, query_string={"uri": run.storage.uri, **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def news_of(client: FlaskClient, run: Run, have: dict[str, str]) -> dict[str, Any]:
    """Return what the script of the page gets. have: digests by part."""
    query = {
        "uri": run.storage.uri,
        "have": ",".join(f"{name}:{digest}" for name, digest in have.items()),
    }
    answer = client.get("/run/now", query_string=query, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    values: dict[str, Any] = answer.json
    return values


def write_report(run: Run, clock: FakeClock, **values: Any) -> None:
    Reporter(clock).write(run, Ending("unfinished", "collect", at=clock.now()))
    report = json.loads(run.storage.read(layout.REPORT_FILE))
    run.storage.write(layout.REPORT_FILE, json.dumps({**report, **values}).encode())


def test_a_run_that_goes_on_is_shown_as_it_is_now(client: FlaskClient, run: Run) -> None:
    page = page_of(client, "/run", run)
    assert 'data-seconds="5"' in page
    assert "2 of 240 records processed" in page
    assert "No process controls it now; its batch jobs run." in page
    assert "1 InProgress" in page
    for part in PARTS:
        assert f'data-part="{part}"' in page


def test_a_browser_gets_only_the_parts_that_have_changed(
    client: FlaskClient, run: Run, clock: FakeClock
) -> None:
    first = news_of(client, run, {})
    assert set(first["parts"]) == set(PARTS)
    have = {name: part["digest"] for name, part in first["parts"].items()}
    assert news_of(client, run, have)["parts"] == {}
    clock.sleep(60)
    end_job(run, clock.now())
    ended = news_of(client, run, have)
    assert {"head", "jobs", "time"} <= set(ended["parts"])
    assert not {"config", "findings", "errors"} & set(ended["parts"])
    assert "Completed" in ended["parts"]["jobs"]["html"]
    assert (first["seconds"], ended["seconds"]) == (5, 30)


def test_a_run_is_read_once_for_all_who_look_at_it(
    client: FlaskClient, run: Run, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[float] = []
    load = Ledger.load

    def counted(self: Ledger) -> Any:
        loads.append(clock.now())
        return load(self)

    monkeypatch.setattr(Ledger, "load", counted)
    for _ in range(5):
        news_of(client, run, {})
        page_of(client, "/run/jobs", run)
    assert len(loads) == 1
    clock.sleep(10)
    news_of(client, run, {})
    assert len(loads) == 2


def test_a_run_that_rests_is_read_again_only_if_somebody_worked_on_it(
    client: FlaskClient, run: Run, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_job(run, clock.now())
    write_report(run, clock)
    page_of(client, "/run", run)
    loads: list[Ledger] = []
    load = Ledger.load
    monkeypatch.setattr(Ledger, "load", lambda self: loads.append(self) or load(self))
    clock.sleep(3_600)
    page_of(client, "/run", run)
    assert loads == []
    write_report(run, clock, findings=[])
    clock.sleep(10)
    page_of(client, "/run", run)
    assert len(loads) == 2  # one for the report


def test_why_a_run_is_held_is_shown(client: FlaskClient, run: Run, clock: FakeClock) -> None:
    end_job(run, clock.now())
    ledger = Ledger(run.storage)
    ledger.load()
    ledger.append([Held("refused", "the role cannot be assumed", clock.now())])
    page = page_of(client, "/run", run)
    assert "the role cannot be assumed" in page
    assert "Go on with the batch jobs" in page
    assert "--allow-control" in page


def test_errors_lead_to_their_records(client: FlaskClient, run: Run, clock: FakeClock) -> None:
    """Texts of rows are text."""
    end_job(run, clock.now())
    reason = Reason("error", 400, f"Malformed input: {HOSTILE}", 9, "a1")
    own = {"outcome": "error", "code": 400, "message": reason.message, "count": 9}
    outcomes = {"ok": 225, "error": 9, "missing": 7}
    report = json.loads(json.dumps({"reasons": [{**own, "examples": ["a1"]}]}))
    write_report(run, clock)
    known = json.loads(run.storage.read(layout.REPORT_FILE))["outcomes"]
    write_report(run, clock, **report, outcomes={**known, "waiting": 0, **outcomes})
    page = page_of(client, "/run", run)
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    links = [html.unescape(part.split('"')[0]) for part in page.split('href="')[1:]]
    queries = [parse_qs(urlsplit(link).query) for link in links if "/run/records" in link]
    assert {"uri": [run.storage.uri], "error": [f"error 400 {reason.message}"]} in queries
    assert {"uri": [run.storage.uri], "outcome": ["missing"]} in queries
    assert "Asking again does not help" in page
    (error,) = (query["error"][0] for query in queries if "error" in query)
    assert ErrorGroup.of(error) == ErrorGroup("error", 400, reason.message)


def test_jobs_are_filtered_on_the_server(client: FlaskClient, run: Run) -> None:
    assert NAME in page_of(client, "/run/jobs", run, status="active")
    nothing = page_of(client, "/run/jobs", run, status="Failed")
    assert "0 jobs" in nothing
    assert NAME not in nothing
    assert ARN not in page_of(client, "/run/jobs", run, text="no such job")


def test_a_job_has_its_objects_and_their_beginning(client: FlaskClient, run: Run) -> None:
    key = f"{layout.attempt_prefix('shard-00000-00', 1, 't')}j1/shard-00000-00.jsonl.out"
    run.storage.write(key, f'{{"recordId":"a1","modelOutput":{{"text":"{HOSTILE}"}}}}\n'.encode())
    page = page_of(client, "/run/job", run, job=NAME)
    for text in (ARN, "InProgress", "2 processed", "not there", key):
        assert text in page
    head = page_of(client, "/run/object", run, key=key)
    assert "&lt;script&gt;" in head
    assert HOSTILE not in head
    refused = client.get(
        "/run/object", query_string={"uri": run.storage.uri, "key": "../secret.jsonl"}
    )
    assert refused.status_code == 400
    assert "only objects of lines" in refused.text


def test_a_job_that_does_not_exist_is_an_error(client: FlaskClient, run: Run) -> None:
    answer = client.get("/run/job", query_string={"uri": run.storage.uri, "job": "j"})
    assert answer.status_code == 400
    assert "has no batch job j" in answer.text


def test_a_cleaned_run_shows_what_its_report_has(
    client: FlaskClient, run: Run, clock: FakeClock
) -> None:
    end_job(run, clock.now())
    write_report(run, clock)
    cleaned = Cleaned(clock.now(), ("results", "report"), is_over=True)
    run.storage.write(layout.CLEANED_FILE, cleaned.to_json())
    page = page_of(client, "/run", run)
    assert "Stage: cleaned" in page
    assert "were deleted by" in page
    answer = client.get("/run/jobs", query_string={"uri": run.storage.uri})
    assert answer.status_code == 400
    assert "was cleaned" in answer.text


def test_a_run_without_a_manifest_is_being_prepared(
    client: FlaskClient, tmp_path: Path, clock: FakeClock
) -> None:
    made = finished_run(tmp_path / "new")
    (tmp_path / "new" / layout.MANIFEST_FILE).unlink()
    page = page_of(client, "/run", made)
    assert "No row is prepared yet" in page
    assert "Stage: preparing" in page
    page = page_of(client, "/run/go-on", made)
    assert "The run is not prepared." in page


def test_a_folder_without_a_run_is_an_error(client: FlaskClient, tmp_path: Path) -> None:
    answer = client.get("/run", query_string={"uri": str(tmp_path)})
    assert answer.status_code == 400
    assert "holds no run" in answer.text
    answer = client.get("/run/now", headers={"Accept": "application/json"})
    assert answer.json["error"]["message"] == "/run/now: the value 'uri' is missing"


def test_stages_are_shown_in_their_order(client: FlaskClient, tmp_path: Path) -> None:
    write_run(tmp_path / "extract", 5, state="done", cost={"total": 1.5}, outcomes={"ok": 5})
    stages = [{"name": name} for name in ("extract", "judge")]
    (tmp_path / "stages.json").write_text(json.dumps({"format": 1, "stages": stages}))
    answer = client.get("/run", query_string={"uri": str(tmp_path)})
    assert answer.status_code == 200
    assert "1 of 2 stages is done" in answer.text
    assert "$1.50 together" in answer.text
    assert answer.text.index("extract</a>") < answer.text.index("not begun")
    assert "A stage does not begin if one before it ended with an error" in answer.text
    write_run(tmp_path / "judge", 5, state="done", cost={"total": 1.5}, outcomes={"ok": 5})
    whole = client.get("/run", query_string={"uri": str(tmp_path)})
    assert ("2 of 2 stages are done" in whole.text, "does not begin" in whole.text) == (True, False)


def test_a_run_that_takes_long_to_read_does_not_keep_its_reader_waiting(
    client: FlaskClient, run: Run, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later page shows it; until then, there is a page that says so."""
    may_read = threading.Event()
    load = Ledger.load

    def slow(self: Ledger) -> Any:
        assert may_read.wait(30)
        return load(self)

    monkeypatch.setattr(Ledger, "load", slow)
    monkeypatch.setattr(Looks.soon, "__defaults__", (0.01,))
    opening = page_of(client, "/run", run)
    assert "The run is being read" in opening
    assert 'http-equiv="refresh"' in opening
    may_read.set()
    monkeypatch.setattr(Looks.soon, "__defaults__", (30.0,))
    assert "1 InProgress" in page_of(client, "/run", run)
    # What is known is shown while the run is read again.
    may_read.clear()
    monkeypatch.setattr(Looks.soon, "__defaults__", (0.01,))
    clock.sleep(60)
    assert "1 InProgress" in page_of(client, "/run", run)
    may_read.set()


def test_a_run_that_cannot_be_read_is_an_error_of_its_page(client: FlaskClient, run: Run) -> None:
    run.storage.write(layout.ledger_key(1), b"not json")
    run.storage.write(layout.ledger_key(2), b"not json")
    answer = client.get("/run", query_string={"uri": run.storage.uri})
    assert answer.status_code == 400
    assert "000000001.jsonl" in answer.text
