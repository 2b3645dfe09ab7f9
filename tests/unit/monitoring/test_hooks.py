"""Hooks: who is told how a command ended, how often, and that it changes nothing."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pydantic import ValidationError

from bedrock_spark import submission
from bedrock_spark.aws import clients
from bedrock_spark.config.notify import NotifyConfig
from bedrock_spark.errors import BudgetError, ConfigError
from bedrock_spark.monitoring.hooks import notify, payload_of, run_command
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.report import Report
from bedrock_spark.report.findings import held_finding
from bedrock_spark.report.values import Failure
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run, open_run
from tests.unit.cli.test_closing_table import report_of
from tests.unit.fakes import FakeClock, make_config
from tests.unit.test_pipeline import open_pipeline, prepare_by_hand

DONE = report_of(10, {"ok": 10})
HELD = report_of(10, {"waiting": 10}, state="held", findings=[held_finding("no job slot")])
FAILED = report_of(10, {"waiting": 10}, state="failed", error=Failure("BudgetError", "spent"))


def spent(dollars: str) -> Report:
    error = Failure("BudgetError", f"of budget.max_cost_usd $5.00, ${dollars} are spent")
    return report_of(10, {"waiting": 10}, state="failed", error=error)


def refused(request_id: str) -> Report:
    finding = held_finding(f"AWS refuses its jobs (RequestId: {request_id})")
    return report_of(10, {"waiting": 10}, state="held", findings=[finding])


GOES_ON = report_of(10, {"waiting": 10}, state="unfinished")
TOPIC = "arn:aws:sns:us-west-2:123456789012:runs"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return a file to which the hook appends what it is told."""
    return tmp_path / "told.jsonl"


@pytest.fixture
def run(tmp_path: Path, told: Path) -> Run:
    return run_with(tmp_path, command=appending_to(told))


def appending_to(told: Path) -> list[str]:
    code = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + chr(10))"
    return [sys.executable, "-c", code, str(told)]


def run_with(folder: Path, **options: Any) -> Run:
    return open_run(make_config(str(folder / "run"), notify=options), FakeClock())


def payloads(told: Path) -> list[dict[str, Any]]:
    lines = told.read_text().splitlines() if told.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("reports", "events"),
    [
        ([DONE, DONE], ["done"]),
        ([HELD, HELD, HELD], ["held"]),
        ([HELD, GOES_ON, HELD], ["held", "held"]),
        ([FAILED, HELD, DONE], ["failed", "held", "done"]),
        ([spent("1.25"), spent("2.50"), FAILED], ["failed", "failed"]),
        ([refused("0a1b-77"), refused("c4-99e0")], ["held"]),
        ([GOES_ON, report_of(1, {}, state="interrupted")], []),
        ([DONE, report_of(10, {"ok": 9, "error": 1})], ["done", "done"]),
    ],
)
def test_an_event_is_told_once_and_again_after_the_run_went_on(
    run: Run, told: Path, reports: list[Report], events: list[str]
) -> None:
    """However often a scheduler calls a command that ends in the same way."""
    for report in reports:
        notify(run, report, 1.0)
    assert [payload["event"] for payload in payloads(told)] == events


def test_a_process_that_is_killed_after_it_told_tells_again_with_the_same_id(
    run: Run, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the note is written after the hook."""

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(run.storage), "write", kill)
        with pytest.raises(KeyboardInterrupt):
            notify(run, HELD, 1.0)
    notify(run, HELD, 2.0)
    notify(run, HELD, 3.0)
    first, second = payloads(told)
    assert first == second


def test_a_hook_that_fails_is_a_warning_and_is_tried_again(
    tmp_path: Path, told: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('no route to the pager')"]
    notify(run_with(tmp_path, command=failing), HELD, 1.0)
    assert "ended with 1: no route to the pager" in caplog.text
    notify(run_with(tmp_path, command=appending_to(told)), HELD, 2.0)
    assert len(payloads(told)) == 1


def test_only_the_events_of_the_config_are_told(tmp_path: Path, told: Path) -> None:
    run = run_with(tmp_path, command=appending_to(told), on=["failed"])
    for report in (DONE, HELD, FAILED):
        notify(run, report, 1.0)
    assert [payload["event"] for payload in payloads(told)] == ["failed"]


def test_what_is_told_has_the_reason_and_no_text_of_a_row(run: Run, told: Path) -> None:
    """The findings by kind only: the details of some name jobs and messages of the service."""
    for report, reason in ((HELD, "no job slot"), (FAILED, "spent"), (DONE, None)):
        assert payload_of(run, report, report.state)["reason"] == reason
    bad = report_of(10, {"ok": 1, "error": 9})
    assert "9 of 10 rows" in payload_of(run, bad, "done")["reason"]
    assert set(payload_of(run, DONE, "done")) == {
        *("version", "id", "event", "run_id", "run_uri", "model_id", "stage", "reason", "rows"),
        *("outcomes", "unanswered", "cost_usd", "started_at", "ended_at", "published", "findings"),
    }


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """A process that it left behind does not hold the run up, either."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\nexec 3> {alive}\necho up >&3\nsleep 60 &\nwait\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    why = run_command([str(script)], {}, 2.0)
    assert why == f"{script}: was not over in 2 seconds and was ended"
    os.set_blocking(reader, True)
    with os.fdopen(reader) as file:
        assert file.read() == "up\n"  # it ends when the last process that has it open is dead


@pytest.mark.parametrize("command", [["/no/such/command"], [os.devnull]])
def test_a_command_that_cannot_be_started_is_a_warning(command: list[str]) -> None:
    assert "cannot be started" in (run_command(command, {}, 1.0) or "")


def test_a_command_may_leave_its_input_unread() -> None:
    assert run_command(["true"], {"x": "y" * 1_000_000}, 10.0) is None


def test_a_command_line_is_split_into_words_and_needs_no_shell(tmp_path: Path) -> None:
    config = NotifyConfig.model_validate({"command": "page 'all of us' $(rm x)", "on": "failed"})
    assert config.command == ("page", "all of us", "$(rm", "x)")
    assert config.on == ("failed",)
    for wrong in ({"sns_topic_arn": "runs"}, {"on": ["finished"]}, {"timeout_seconds": 0}):
        with pytest.raises(ValidationError):
            NotifyConfig.model_validate(wrong)


@pytest.fixture
def topic() -> Iterator[Any]:
    """Provide a topic, and a queue that gets its messages."""
    clients._make_client.cache_clear()
    with mock_aws():
        sns = boto3.client("sns", "us-west-2")
        sqs = boto3.client("sqs", "us-west-2")
        arn = sns.create_topic(Name="runs")["TopicArn"]
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue["Attributes"]["QueueArn"])
        yield arn, lambda: sqs.receive_message(QueueUrl=url).get("Messages", [])
    clients._make_client.cache_clear()


def test_a_topic_of_another_region_gets_the_message(topic: Any, tmp_path: Path) -> None:
    arn, messages = topic
    run = run_with(tmp_path, sns_topic_arn=arn)
    notify(run, HELD, 1.0)
    (message,) = messages()
    body = json.loads(message["Body"])
    assert body["Subject"] == f"bedrock-spark: held: {run.run_id}"
    assert json.loads(body["Message"]) == payload_of(run, HELD, "held")


def test_a_topic_that_does_not_exist_is_a_warning(
    topic: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_with(tmp_path, sns_topic_arn=TOPIC.replace("runs", "other"))
    notify(run, HELD, 1.0)
    assert "SNS took no message (NotFound" in caplog.text
    assert run.storage.list(layout.NOTIFIED_FILE) == []


def pipeline_with(folder: Path, told: Path, **sections: Any) -> Pipeline:
    pipeline = open_pipeline(
        folder / "run", notify={"command": appending_to(told)}, canary={"records": 0}, **sections
    )
    prepare_by_hand(pipeline, 50, 60)
    return pipeline


@pytest.mark.parametrize(
    ("error", "events"),
    [
        (BudgetError("too dear"), ["failed"]),
        (KeyboardInterrupt(), []),
        (OSError("disk"), ["failed"]),
    ],
)
def test_a_command_of_the_pipeline_tells_how_it_ended(
    tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException,
    events: list[str],
) -> None:  # fmt: skip
    """The error is raised all the same."""
    pipeline = pipeline_with(tmp_path, told)

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(submission, "leased_controller", fail)
    with pytest.raises(type(error)):
        pipeline.advance()
    assert [payload["event"] for payload in payloads(told)] == events


def test_a_hook_that_cannot_even_be_tried_changes_nothing(
    tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error of the run stays, and the other hooks run."""
    published: list[str] = []

    def publish(_aws: object, topic: str, *_: object) -> None:
        published.append(topic)

    def fail(*_: Any, **__: Any) -> Any:
        raise ConfigError("the error of the run")

    monkeypatch.setattr("bedrock_spark.monitoring.hooks.scratch_folder", _no_disk)
    monkeypatch.setattr("bedrock_spark.monitoring.hooks.publish", publish)
    notify = {"command": appending_to(told), "sns_topic_arn": TOPIC}
    pipeline = open_pipeline(tmp_path / "run", notify=notify, canary={"records": 0})
    prepare_by_hand(pipeline, 50, 60)
    monkeypatch.setattr(submission, "leased_controller", fail)
    with pytest.raises(ConfigError, match="the error of the run"):
        pipeline.advance()
    assert "notify.command: no space" in caplog.text
    assert published == [TOPIC]
    assert pipeline.run.storage.read_if_present(layout.NOTIFIED_FILE) is None  # it is tried again


def test_a_command_line_that_no_process_can_have_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify(run_with(tmp_path, command=["page\0me"]), HELD, 1.0)
    assert "notify.command: embedded null byte" in caplog.text


def _no_disk(*_: Any, **__: Any) -> Any:
    raise OSError("no space")
