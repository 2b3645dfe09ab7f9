"""Stop a run and go on with it from a page: what is said before, who may, and once only."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from bedrock_spark.clock import Clock
from bedrock_spark.errors import ConfigError, RunHeldError
from bedrock_spark.progress import Observer, Progress
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.run import Run
from bedrock_spark.ui import control as work_of
from bedrock_spark.ui.operations import GOING_ON, STOPPING, Operation, Operations
from bedrock_spark.ui.pages import control as pages
from bedrock_spark.ui.settings import Kind, Place, UiSettings
from tests.unit.browse.finished_run import finished_run
from tests.unit.browse.test_page import submit_job
from tests.unit.fakes import FakeClock, config_values
from tests.unit.ui.conftest import ClientOf

LONG = 30.0  # no test waits so long: it is the end of a test that fails


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(tmp_path: Path, clock: FakeClock) -> Run:
    made = finished_run(tmp_path / "tickets", (120, 120))
    submit_job(made, clock.now())
    return made


def page_of(client: FlaskClient, path: str, run: Run) -> str:
    answer = client.get(path, query_string={"uri": run.storage.uri})
    assert answer.status_code == 200, answer.text
    return answer.text


def at_work(clock: Clock, observe: Observer) -> str:
    """Wait until somebody ends the operation."""
    observe(Progress("batch", 1, 2, "1 of 2 shards done"))
    clock.sleep(LONG)
    return "it waited to its end"


@pytest.mark.parametrize("path", ["/run/stop", "/run/go-on", "/run/leave"])
def test_nothing_is_changed_without_the_option(client_of: ClientOf, run: Run, path: str) -> None:
    client = client_of()
    assert "--allow-control" in page_of(client, path, run)
    answer = client.post(path, data={"uri": run.storage.uri})
    assert answer.status_code == 403
    assert "--allow-control" in answer.text


def test_what_stop_does_is_said_before(client_of: ClientOf, run: Run, clock: FakeClock) -> None:
    page = page_of(client_of(clock=clock, allow_control=True), "/run/stop", run)
    assert "1 batch job is active, with 4 records that are not processed" in page
    assert "1 shard waits for a job" in page
    assert f"bedrock-spark stop {run.storage.uri}" in page


def test_what_going_on_does_and_costs_is_said_before(
    client_of: ClientOf, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"source": "none", "batch": {"input": "0.5", "output": "2.5"}}
    made = finished_run(tmp_path / "a", (120, 120), prices=prices, budget={"max_cost_usd": "12.5"})
    client = client_of(clock=clock, allow_control=True)
    page = page_of(client, "/run/go-on", made)
    assert "2 shards wait for a batch job, with 240 records: they cost about $" in page
    assert "The whole run may cost $12.50" in page
    # Batch jobs cannot reach a local folder: then nothing is asked, and nothing is promised.
    assert "Bedrock reads and writes S3 only" in page
    assert f"<h1>Going on with the run {made.run_id}</h1>" in page
    for asked in ("Go on with", "<button", "(the canary)", "This page submits"):
        assert asked not in page
    monkeypatch.setattr(pages, "_why_not", lambda *_: None)
    page = page_of(client, "/run/go-on", made)
    assert f"<h1>Go on with the run {made.run_id}?</h1>" in page
    assert "(the canary)" in page
    assert "This page submits" in page


def test_a_run_that_a_process_controls_is_left_to_it(
    client_of: ClientOf, run: Run, clock: FakeClock
) -> None:
    client = client_of(clock=clock, allow_control=True)
    with Lease(run.storage, clock):
        assert "The run goes on already: it is controlled by" in page_of(client, "/run/go-on", run)
        answer = client.post("/run/go-on", data={"uri": run.storage.uri})
        assert answer.status_code == 400
        assert "That process ends." in page_of(client, "/run/stop", run)


def test_two_clicks_do_it_once(
    client_of: ClientOf, run: Run, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the page of the run says what is done; to leave it ends that."""
    begun: list[str] = []

    def work(run_uri: str, _aws: object) -> Any:
        begun.append(run_uri)
        return at_work

    monkeypatch.setattr(pages, "going_on", work)
    monkeypatch.setattr(pages, "_why_not", lambda *_: None)
    client = client_of(clock=clock, allow_control=True)
    operations = client.application.extensions["bedrock-spark-runs"].operations
    real = operations.begin
    monkeypatch.setattr(operations, "begin", lambda *a: real(*a, wait=0.0))
    uri = run.storage.uri
    threads = [
        threading.Thread(target=client.post, args=("/run/go-on",), kwargs={"data": {"uri": uri}})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    operation = operations.of(uri)
    assert operation is not None
    assert not operation.is_over
    assert sum(t.name == f"go on {uri}" for t in threading.enumerate()) == 1
    page = page_of(client, "/run", run)
    assert "This page goes on with the run" in page
    assert 'data-seconds="5"' in page
    assert client.post("/run/leave", data={"uri": uri}).status_code == 303
    assert operation.is_over
    assert "this page has left it" in page_of(client, "/run", run)


def test_a_stop_ends_what_goes_on() -> None:
    operations = Operations(FakeClock())
    first = operations.begin("uri", GOING_ON, at_work, wait=0.0)
    second = operations.begin("uri", STOPPING, lambda *_: "stopped", wait=LONG)
    assert first.over.wait(LONG)
    assert (second.outcome, second.error) == ("stopped", None)
    assert operations.of("uri") is second


def test_nobody_goes_on_while_a_run_is_stopped() -> None:
    operations = Operations(FakeClock())
    first = operations.begin("uri", STOPPING, at_work, wait=0.0)
    with pytest.raises(ConfigError, match="uri: is being stopped"):
        operations.begin("uri", GOING_ON, at_work)
    assert operations.begin("uri", STOPPING, at_work, wait=0.0) is first
    operations.close()
    assert first.is_over


def test_the_end_of_the_pages_ends_all() -> None:
    operations = Operations(FakeClock())
    begun = [operations.begin(uri, GOING_ON, at_work, wait=0.0) for uri in ("a", "b")]
    operations.close()
    assert [each.outcome for each in begun] == ["this page has left it; its batch jobs run on"] * 2


def failing(error: Exception) -> Operation:
    def work(_clock: Clock, _observe: Observer) -> str:
        raise error

    return Operations(FakeClock()).begin("uri", GOING_ON, work, wait=LONG)


def test_an_error_is_shown_and_an_unexpected_one_quotes_no_row() -> None:
    assert failing(RunHeldError("uri: is controlled by host")).error == "uri: is controlled by host"
    unexpected = failing(KeyError("a prompt"))
    assert unexpected.error is not None
    assert "KeyError" in unexpected.error
    assert "a prompt" not in unexpected.error


def test_a_stage_is_left_to_the_command(tmp_path: Path, client_of: ClientOf) -> None:
    """Its folder does not say what the others leave of the budget."""
    made = finished_run(tmp_path / "extract", (120,))
    (tmp_path / "stages.json").write_text('{"format": 1, "stages": [{"name": "extract"}]}')
    assert work_of.is_stage(made.storage.uri, made.aws)
    assert not work_of.is_stage(str(tmp_path), made.aws)
    page = page_of(client_of(), "/run", made)
    assert "one stage of several" in page
    assert "Go on with the batch jobs" not in page


def test_the_command_names_the_config_of_the_command_line(run: Run, tmp_path: Path) -> None:
    """If the run is its run."""
    values = {**config_values(), "run_uri": run.storage.uri}
    path = tmp_path / "tickets.yaml"
    path.write_text(json.dumps(values))
    settings = UiSettings(Place(str(path), Kind.CONFIG))
    assert work_of.config_of(run.storage.uri, settings) == str(path)
    assert work_of.config_of("s3://bucket/another", settings) == "CONFIG"
    assert work_of.config_of(run.storage.uri, UiSettings()) == "CONFIG"
    path.write_text("run_uri: [")
    assert work_of.config_of(run.storage.uri, settings) == "CONFIG"
