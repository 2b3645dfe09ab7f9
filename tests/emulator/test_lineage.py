"""OpenLineage events, as a service on this machine gets them."""

from __future__ import annotations

import json
import logging
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from attr import fields
from pydantic import ValidationError

from bedrock_spark.config.openlineage import OpenLineageConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.monitoring import Monitor, lineage
from bedrock_spark.monitoring.lineage_events import (
    FACET,
    BedrockSparkRunFacet,
    dataset_of,
    inputs_of,
)
from bedrock_spark.progress import Progress, ignore_progress
from bedrock_spark.report import Failure, Report
from bedrock_spark.run_folder.manifest import commit_manifest
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from tests.unit.cli.test_closing_table import report_of
from tests.unit.fakes import FakeClock, make_config
from tests.unit.test_pipeline import manifest_of

# The events are made by another package, whose lowest version counts, too.
pytestmark = pytest.mark.versions

DONE = report_of(10, {"ok": 9, "error": 1}, cost={"total": 1.25}, published="s3://lake/answers")
FAILED = report_of(10, {}, state="failed", error=Failure("BudgetError", "all is spent"))
STRANGE = report_of(10, {}, state="failed", error=Failure("ValueError", None))
GOES_ON = report_of(10, {"waiting": 10}, state="unfinished")


class Service:
    """Takes events, or replies with `status`; while `is_silent`, it does not reply."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.status = 201
        self.goes_on = threading.Event()
        self.goes_on.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.goes_on.wait(60)
                if self.path == "/api/v1/lineage" and service.status < 300:
                    service.events.append(json.loads(body))
                    service.keys.append(self.headers.get("Authorization"))
                self.send_response(service.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.goes_on.set()
    service.server.shutdown()
    service.server.server_close()


def run_at(folder: Path, url: str, **sections: Any) -> Run:
    lineage = {"url": url, "namespace": "team", "job": "tickets", "timeout_seconds": 20}
    config = make_config(
        str(folder / "run"),
        **{
            "openlineage": lineage,
            "source": {"format": "parquet", "path": "s3a://lake/tickets/", "key": ["a"]},
            "results": {"path": "s3://lake/answers", "parse": {"columns": "label string"}},
            **sections,
        },
    )
    return open_run(config, FakeClock())


def tell(run: Run, *reports: Report) -> None:
    """Begin a run, or carry it on, and end a command with each report."""
    runs = [run]
    monitor = Monitor(lambda: runs[-1], FakeClock())
    observe = monitor.observing(ignore_progress)
    observe(Progress("prepare", 0, None))
    if not run.is_begun:
        runs.append(begin_run(run))
        manifest = replace(
            manifest_of(10), run_id=runs[-1].run_id, columns="`a` bigint, `b``` string"
        )
        commit_manifest(run.storage, manifest)
    observe(Progress("prepare", 1, 1))
    observe(Progress("prepare", 1, 1))
    for report in reports:
        monitor.end(report)


def test_a_run_is_told_from_its_beginning_to_its_end(service: Service, tmp_path: Path) -> None:
    """Each process tells the same run; only the one that begins it tells that."""
    run = run_at(tmp_path, service.url)
    tell(run, GOES_ON)
    tell(run_at(tmp_path, service.url), DONE)
    assert [event["eventType"] for event in service.events] == ["START", "RUNNING", "COMPLETE"]
    (run_id,) = {event["run"]["runId"] for event in service.events}
    assert uuid.UUID(run_id).version == 5
    jobs = {(event["job"]["namespace"], event["job"]["name"]) for event in service.events}
    assert jobs == {("team", "tickets")}
    last = service.events[-1]
    (source,) = last["inputs"]
    assert (source["namespace"], source["name"]) == ("s3://lake", "tickets")
    fields = source["facets"]["schema"]["fields"]
    assert [(f["name"], f["type"]) for f in fields] == [("a", "bigint"), ("b`", "string")]
    in_folder, published = last["outputs"]
    assert (in_folder["namespace"], in_folder["name"]) == ("file", f"{tmp_path}/run/results")
    assert (published["namespace"], published["name"]) == ("s3://lake", "answers")
    names = [f["name"] for f in published["facets"]["schema"]["fields"]]
    assert names[:3] == ["a", "b`", "record_id"]
    assert names[-1] == "label"
    assert published["outputFacets"]["outputStatistics"]["rowCount"] == 10
    facet = last["run"]["facets"][FACET]
    assert facet["_schemaURL"].startswith("urn:bedrock-spark:")
    assert (facet["outcomes"], facet["cost_usd"]) == ({"ok": 9, "error": 1}, 1.25)
    assert facet["state"] == "done"
    assert "derived_from" not in facet


def test_the_docs_show_the_facet() -> None:
    """Every key of it, and no other."""
    keys = {field.name for field in fields(BedrockSparkRunFacet)}
    page = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name.strip(" `") for row in rows for name in row.split(",")}
    assert named == {key for key in keys if not key.startswith("_")}


@pytest.mark.parametrize(("report", "message"), [(FAILED, "all is spent"), (STRANGE, "ValueError")])
def test_a_failure_has_our_own_message_only(
    service: Service, tmp_path: Path, report: Report, message: str
) -> None:
    """The message of another error may hold values of rows, so the report has none."""
    tell(run_at(tmp_path, service.url), report)
    assert service.events[-1]["eventType"] == "FAIL"
    assert service.events[-1]["run"]["facets"]["errorMessage"]["message"] == message


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        ({"table": "db.tickets"}, [("team", "db.tickets")]),
        ({"sql": "select 'a secret'"}, []),
        ({}, []),
    ],
)
def test_what_the_source_is_called(
    service: Service, tmp_path: Path, source: dict[str, Any], inputs: list[tuple[str, str]]
) -> None:
    """A query and a DataFrame have no name, and a query may quote values."""
    tell(run_at(tmp_path, service.url, source={**source, "key": ["a"]}), DONE)
    named = [(d["namespace"], d["name"]) for d in service.events[-1]["inputs"]]
    assert named == inputs
    assert "secret" not in json.dumps(service.events)


def test_the_condition_on_the_rows_of_another_run_is_not_told(
    service: Service, tmp_path: Path
) -> None:
    """As a query, it may quote values."""
    origin = {"run_uri": "s3://lake/one", "run_id": "r1", "outcomes": ["error"]}
    report = replace(DONE, derived_from={**origin, "where": "name = 'a secret'"})
    tell(run_at(tmp_path, service.url), report)
    assert service.events[-1]["run"]["facets"][FACET]["derived_from"] == origin
    assert "secret" not in json.dumps(service.events)


def test_names_follow_the_conventions(tmp_path: Path) -> None:
    """https://openlineage.io/docs/spec/naming"""
    (first,) = inputs_of(make_config(source={"run": "s3://lake/runs/first/"}), None)
    assert (first.namespace, first.name) == ("s3://lake", "runs/first/results")
    assert dataset_of("s3://b/k/") == ("s3://b", "k")
    assert dataset_of("s3n://b") == ("s3://b", "/")
    assert dataset_of(f"file://{tmp_path}") == dataset_of(str(tmp_path)) == ("file", str(tmp_path))


def test_the_key_of_the_environment_is_sent(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no config, which the run folder would have."""
    monkeypatch.setenv(lineage.API_KEY, "k-4711")
    tell(run_at(tmp_path, service.url), DONE)
    assert set(service.keys) == {"Bearer k-4711"}


def test_a_service_that_refuses_is_a_warning(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 422
    with caplog.at_level(logging.WARNING):
        tell(run_at(tmp_path, service.url), DONE)
    assert "openlineage: an event was not sent" in caplog.text
    assert service.events == []


def test_a_service_that_does_not_answer_delays_nobody(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command ends after the time of the config, while the call still waits."""
    service.goes_on.clear()
    run = run_at(tmp_path, service.url, openlineage={"url": service.url, "timeout_seconds": 0.05})
    with caplog.at_level(logging.WARNING):
        tell(run, DONE)
    assert "no answer within 0.05 seconds" in caplog.text
    assert service.events == []


def sending_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "openlineage"]


def test_no_thread_stays(service: Service, tmp_path: Path) -> None:
    """A process that works on one run after another, such as a Lambda's, keeps none of each."""
    tell(run_at(tmp_path, service.url), GOES_ON, DONE)
    for thread in sending_threads():
        thread.join(20)
    assert sending_threads() == []
    assert [event["eventType"] for event in service.events] == ["START", "RUNNING", "COMPLETE"]


def test_a_process_that_can_start_no_thread_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Progress and the end of the command are as without lineage."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    run = run_at(tmp_path, "http://127.0.0.1:9")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with caplog.at_level(logging.WARNING):
        tell(run, DONE)
    assert "an event was not sent: can't start new thread" in caplog.text


def test_without_the_client_library_no_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was begun goes on, and its user is warned."""
    monkeypatch.setattr(lineage, "find_spec", lambda _: None)
    run = run_at(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"pip install 'bedrock-spark\[lineage\]'"):
        tell(run, DONE)
    begin_run(run)
    with caplog.at_level(logging.WARNING):
        tell(run_at(tmp_path, "http://127.0.0.1:9"), DONE)
    assert "the run goes on, and nobody is told" in caplog.text


def test_without_a_url_nothing_is_imported_or_told(tmp_path: Path) -> None:
    run = open_run(make_config(str(tmp_path / "run")), FakeClock())
    before = {name for name in sys.modules if name.startswith("openlineage")}
    monitor = Monitor(lambda: run, FakeClock())
    assert monitor.observing(ignore_progress) is ignore_progress
    monitor.end(DONE)
    assert {name for name in sys.modules if name.startswith("openlineage")} == before


@pytest.mark.parametrize(
    ("url", "why"),
    [("marquez:5000", "must begin with http"), ("https://me:pass@host", "OPENLINEAGE_API_KEY")],
)
def test_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        OpenLineageConfig(url=url)
