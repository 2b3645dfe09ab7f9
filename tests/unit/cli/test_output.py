"""What the commands print and where: results on stdout, all else on stderr, JSON, silence."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bedrock_spark import errors
from bedrock_spark.cli import commands, main, stages
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.output import Output
from bedrock_spark.errors import BudgetError, ConfigError, ExitCode, SourceError
from bedrock_spark.progress import Progress
from bedrock_spark.report.findings import unpublished_finding
from tests.models import CLAUDE, NOVA
from tests.unit.cli.test_closing_table import report_of
from tests.unit.fakes import make_config
from tests.unit.test_errors import TREE

STAGE_NAMES = ("run", "prepare", "submit", "advance", "collect", "fallback")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs `bedrock-spark run x.yaml` with this stage in its place."""
    pipeline = SimpleNamespace(run=SimpleNamespace(config=make_config()))
    monkeypatch.setattr(stages, "open_config", lambda _: {})
    monkeypatch.setattr(stages, "check_stages", lambda *_: None)
    monkeypatch.setattr(stages, "config_of_run", lambda *_: make_config())
    monkeypatch.setattr(stages.Pipeline, "open", lambda *_, **__: pipeline)
    monkeypatch.setattr(stages, "describe_interrupt", lambda _: "interrupted")

    def run(stage: stages.Work, *options: str) -> Any:
        perform = stages.perform
        monkeypatch.setattr(
            stages, "perform", lambda _, *args, **more: perform(stage, *args, **more)
        )
        result = CliRunner().invoke(main, ["run", "x.yaml", *options])
        monkeypatch.setattr(stages, "perform", perform)
        return result

    return run


def ending_with(outcomes: dict[str, int], **more: Any) -> stages.Work:
    """Return a stage that shows progress and ends with a report of these rows."""

    def stage(pipeline: Any, display: Display) -> int:
        display.observe(Progress("batch", 1, 2))
        report = report_of(sum(outcomes.values()), outcomes, **more)
        return stages._end(pipeline, display, report)

    return stage


def failing_with(error: BaseException) -> stages.Work:
    def stage(*_: object) -> int:
        raise error

    return stage


def test_results_are_on_stdout_and_progress_on_stderr(call: Callable[..., Any]) -> None:
    """The last line of stdout says how it ended."""
    done = call(ending_with({"ok": 10}))
    assert done.exit_code == 0
    assert (
        done.stdout.splitlines()[-1]
        == "done: all 10 rows answered; the results are in s3://bucket/runs/one/results"
    )
    assert "rows in" in done.stdout
    assert "1/2 records" not in done.stdout
    assert "1/2 records" in done.stderr


def test_json_is_all_that_is_on_stdout(call: Callable[..., Any]) -> None:
    """One object, the report; everything else is on stderr."""
    done = call(ending_with({"ok": 10}), "--json")
    assert json.loads(done.stdout)["outcomes"] == {"ok": 10}
    assert json.loads(done.stdout)["error"] is None
    assert "done: all 10 rows answered" in done.stderr


def test_a_run_that_is_not_finished_ends_with_code_10(call: Callable[..., Any]) -> None:
    """The last line says what is awaited. It is no error, and 20 % of errors may still be less."""
    finding = unpublished_finding("3 shards have active batch jobs")
    more = {"state": "unfinished", "findings": [finding]}
    done = call(ending_with({"ok": 80, "error": 20}, **more), "--quiet")
    assert done.exit_code == ExitCode.MORE_TO_DO
    assert done.output == ("more to do: 3 shards have active batch jobs; nothing is published\n")


def test_partial_results_that_were_asked_for_are_no_failure(call: Callable[..., Any]) -> None:
    """The last line says where they are."""
    report = report_of(10, {"waiting": 10}, state="unfinished", partial="/run/partial/")

    def stage(pipeline: Any, display: Display) -> int:
        return stages._end(pipeline, display, report, partial=True)

    done = call(stage)
    assert done.exit_code == 0
    last = done.stdout.splitlines()[-1]
    assert last == "the results so far are in /run/partial/; the finished ones were not touched"
    assert "  waiting for a job  10" in done.stdout.splitlines()


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["--json", "--quiet"]])
def test_too_many_errors_end_with_code_7(call: Callable[..., Any], options: list[str]) -> None:
    """The last line says so, and --json has the report and the error."""
    done = call(ending_with({"ok": 80, "error": 20}, published="s3://lake/x"), *options)
    assert done.exit_code == ExitCode.ROWS
    message = "20 of 100 rows (20.0%) are not ok, more than results.max_errors (5%)"
    assert message in done.stderr.splitlines()[-2]
    assert "The results were published: s3://lake/x" in done.stderr.splitlines()[-2]
    if "--json" in options:
        values = json.loads(done.stdout)
        assert values["rows"] == 100
        assert (values["error"]["kind"], values["error"]["exit_code"]) == ("rows", 7)


@pytest.mark.parametrize("outcome", ["rejected", "error", "missing"])
def test_a_run_that_yields_nothing_fails(call: Callable[..., Any], outcome: str) -> None:
    """Every row rejected, or every record refused, is no success."""
    assert call(ending_with({outcome: 50})).exit_code == ExitCode.ROWS


def test_quiet_leaves_errors_and_the_closing_line(call: Callable[..., Any]) -> None:
    """For cron, which mails whatever is printed."""
    done = call(ending_with({"ok": 10}), "--quiet")
    assert (
        done.output
        == "done: all 10 rows answered; the results are in s3://bucket/runs/one/results\n"
    )
    failed = call(failing_with(ConfigError("x: is wrong")), "--quiet")
    assert (failed.stdout, failed.stderr) == (
        "",
        "error: x: is wrong\nsee: bedrock-spark help config\n",
    )


@pytest.mark.parametrize("kind", TREE)
def test_each_error_ends_a_command_with_its_code(
    call: Callable[..., Any], kind: type[errors.BedrockSparkError]
) -> None:
    """Two lines on stderr and, with --json, one object on stdout."""
    done = call(failing_with(kind("it went wrong")), "--json")
    assert done.exit_code == kind.exit_code
    assert done.stderr == f"error: it went wrong\nsee: bedrock-spark help {kind.topic}\n"
    name = ExitCode(kind.exit_code).name.lower()
    error = {"kind": name, "message": "it went wrong", "exit_code": int(kind.exit_code)}
    assert json.loads(done.stdout) == {"error": {**error, "topic": kind.topic}}


@pytest.mark.parametrize("options", [[], ["--json"], ["--verbose"], ["--quiet"]])
@pytest.mark.parametrize(
    ("ends", "event"),
    [
        (ending_with({"ok": 10}), None),
        (ending_with({"ok": 80, "error": 20}), "error"),
        (failing_with(BudgetError("spent")), "error"),
        (failing_with(KeyboardInterrupt()), "end"),
    ],
)
def test_with_log_json_each_line_on_stderr_is_an_object(
    call: Callable[..., Any], options: list[str], ends: stages.Work, event: str | None
) -> None:
    """Progress, log records, notes and errors, each with its time, its level and the run."""

    def stage(pipeline: Any, display: Display) -> int:
        display.note("a note")
        handler = next(
            h for h in logging.getLogger().handlers if getattr(h, "stream", None) is sys.stderr
        )
        record = logging.LogRecord("bedrock_spark.x", 30, "", 0, "%d jobs", (3,), None)
        handler.handle(record)
        return ends(pipeline, display)

    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        done = call(stage, *options, "--log", "json")
    finally:
        root.handlers = before
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"at", "level", "event"} <= set(line) for line in lines)
    of_run = [line for line in lines if line["event"] != "log"]
    assert {line["run_uri"] for line in of_run} <= {"s3://bucket/runs/one"}
    is_quiet = "--quiet" in options
    logged = {"at", "level", "event", "message", "logger"}
    assert all(logged <= set(line) for line in lines if line["event"] == "log")
    assert next(line["message"] for line in lines if line["event"] == "log") == "3 jobs"
    assert bool([line for line in lines if line["event"] == "note"]) != is_quiet
    if event is not None:
        assert [line["event"] for line in lines][-1] == event


def test_an_interrupt_is_told_by_json_too(call: Callable[..., Any]) -> None:
    """With the code that shells expect."""
    done = call(failing_with(KeyboardInterrupt()), "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout)["error"]["kind"] == "interrupted"


@pytest.mark.parametrize("name", [*STAGE_NAMES, "status", "stop", "invoke"])
def test_every_command_has_the_options_of_output(name: str) -> None:
    """And says what its argument is, with an example."""
    shown = CliRunner().invoke(main, [name, "--help"]).output
    for option in ("--json", "--quiet", "--verbose", "--log"):
        assert option in shown
    assert "Example" in shown
    assert f"bedrock-spark {name} " in " ".join(shown.split())
    argument = {"status": "RUN_URI", "stop": "RUN_URI", "invoke": "PROMPT"}.get(name, "CONFIG")
    assert f"{argument} is the" in shown


def test_commands_are_listed_in_the_order_of_a_run() -> None:
    """Not by the alphabet."""
    listed = main.list_commands(None)  # type: ignore[arg-type]
    assert set(listed) <= set(commands.ORDER)
    assert listed == [name for name in commands.ORDER if name in listed]
    assert [name for name in listed if name in STAGE_NAMES] == list(STAGE_NAMES)


def test_quiet_and_verbose_contradict_each_other() -> None:
    """Which is wrong use of the command."""
    done = CliRunner().invoke(main, ["run", "x.yaml", "--quiet", "--verbose"])
    assert done.exit_code == ExitCode.USAGE


def test_verbose_logs_and_quiet_does_not(caplog: pytest.LogCaptureFixture) -> None:
    """Warnings are shown by default."""
    logger = logging.getLogger("bedrock_spark")
    Output(is_quiet=True).begin_logging()
    assert not logger.isEnabledFor(logging.WARNING)
    Output(is_verbose=True).begin_logging()
    assert logger.isEnabledFor(logging.INFO)


def test_an_error_while_progress_is_shown_comes_last(call: Callable[..., Any]) -> None:
    """So that the last lines of a log are the reason, and where to read about it."""

    def stage(pipeline: Any, display: Display) -> int:
        display.observe(Progress("batch", 1, 2))
        display.observe(Progress("batch", 2, 3))
        raise BudgetError("too dear")

    lines = call(stage).stderr.splitlines()
    assert lines[-2:] == ["error: too dear", "see: bedrock-spark help budget"]
    assert "2/3 records" in lines[-3]


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_the_command_of_a_stage_begins_with_the_sentence_of_the_stage(name: str) -> None:
    summary = (getattr(stages, name).__doc__ or "").split("\n", 1)[0]
    assert (main.commands[name].help or "").startswith(summary)


@pytest.mark.parametrize("is_verbose", [False, True])
def test_the_stack_of_an_error_is_shown_on_demand(
    is_verbose: bool, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what failed; with --verbose the log has the causes, too."""
    caplog.set_level(logging.INFO, "bedrock_spark")
    error = SourceError("source.sql: a value cannot be cast")
    error.__cause__ = ValueError("what Spark says")
    assert Display(Output(is_verbose=is_verbose)).fail(error) == ExitCode.CONFIG
    assert capsys.readouterr().err.splitlines()[0] == "error: source.sql: a value cannot be cast"
    # Not caplog.text: once PySpark has made a logger, that is JSON without the causes.
    logged = "".join(map(logging.Formatter().format, caplog.records))
    assert ("what Spark says" in logged) is is_verbose


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ([], Output()),
        (["--json", "--quiet"], Output(as_json=True, is_quiet=True)),
        (["--verbose"], Output(is_verbose=True)),
    ],
)
def test_spark_submit_takes_the_same_options(
    monkeypatch: pytest.MonkeyPatch, options: list[str], output: Output
) -> None:
    """The programs in jobs/ print what the commands print."""
    seen: list[Any] = []
    monkeypatch.setattr(stages, "perform", lambda *args, **more: seen.append((args, more)) or 7)
    monkeypatch.setattr(sys, "argv", ["run.py", "--config", "c.yaml", "--set", "a=1", *options])
    assert stages.perform_from_arguments(stages.run, "Run.") == 7
    more = {"lease_wait": 420.0, "plan": None, "on_stages": stages.run_stages}
    assert seen == [((stages.run, "c.yaml", ("a=1",), output), more)]


@pytest.mark.parametrize(
    ("options", "seconds"), [([], 420.0), (["--lease-wait", "0"], 0.0), (["--lease-wait=90"], 90.0)]
)
@pytest.mark.parametrize("name", ["run", "submit", "collect", "fallback"])
def test_commands_and_programs_wait_for_a_lease_alike(
    monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], seconds: float
) -> None:
    """By default longer than a lease lasts."""
    seen: list[float] = []

    def perform(*args: Any, lease_wait: float, **_: object) -> int:
        seen.append(lease_wait)
        return 0

    monkeypatch.setattr(stages, "perform", perform)
    monkeypatch.setattr(sys, "argv", [name, "--config", "c.yaml", *options])
    stages.perform_from_arguments(getattr(stages, name), None)
    assert CliRunner().invoke(main, [name, "c.yaml", *options]).exit_code == 0
    assert seen == [seconds, seconds]


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "soon"])
def test_a_wait_for_a_lease_is_a_number_of_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Else the command line is wrong."""
    assert CliRunner().invoke(main, ["run", "c.yaml", f"--lease-wait={text}"]).exit_code == 2
    monkeypatch.setattr(sys, "argv", ["run.py", "--config", "c.yaml", f"--lease-wait={text}"])
    with pytest.raises(SystemExit) as ended:
        stages.perform_from_arguments(stages.run, None)
    assert ended.value.code == 2
    assert "--lease-wait" in capsys.readouterr().err


@pytest.mark.parametrize("stage", [stages.run, stages.prepare])
def test_a_line_says_whether_the_model_is_asked_for_the_shape(
    stage: stages.Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before Spark starts. Without any shape in the config, there is no line."""

    def no_spark(*_: Any) -> None:
        raise SourceError("no Spark")

    monkeypatch.setattr(stages, "_spark_session", no_spark)
    lines = {}
    for model, parse in ((CLAUDE, "label string"), (NOVA, "label string"), (NOVA, None)):
        config = make_config(model={"id": model}, results={"parse": parse} if parse else {})
        pipeline: Any = SimpleNamespace(
            run=SimpleNamespace(config=config), prepare=None, check_models=lambda: None
        )
        with pytest.raises(SourceError, match="no Spark"):
            stage(pipeline, Display(Output()))
        lines[model, parse] = capsys.readouterr().err[len("10:30:00 ") :]
    assert lines == {
        (
            CLAUDE,
            "label string",
        ): "answers   the model is asked for label by output_config.format\n",
        (NOVA, "label string"): (
            "answers   the model is not asked for label by a schema: set request.schema: columns "
            "to ask by a forced tool; then the answer is in tool_input\n"
        ),
        (NOVA, None): "",
    }
