"""The arguments of programs that spark-submit or AWS Glue starts."""

from __future__ import annotations

import json

import pytest

from bedrock_spark.cli.job_arguments import read_arguments
from bedrock_spark.errors import ExitCode

OWN = ["--config", "s3://conf/one.yaml", "--set", "a.b=1", "--quiet"]
GLUE = [
    ["--JOB_NAME", "tickets"],
    ["--JOB_ID", "j_1"],
    ["--JOB_RUN_ID", "jr_1"],
    ["--SECURITY_CONFIGURATION", "none"],
    ["--WORKFLOW_NAME=w"],
    ["--TempDir", "s3://bucket/temp/"],
    ["--RedshiftTempDir", ""],
    ["--job-language", "python"],
    ["--job-bookmark-option", "job-bookmark-disable"],
    ["--job-bookmark-from", "1"],
    ["--enable-metrics", "true"],
    ["--enable-metrics"],
    ["--enable-glue-datacatalog", ""],
    ["--enable-continuous-cloudwatch-log=true"],
    ["--continuous-log-logGroup", "x"],
    ["--extra-py-files", "s3://b/a.zip,s3://b/b.zip"],
    ["--additional-python-modules", "pyarrow==16.1"],
    ["--python-modules-installer-option", "-r"],
    ["--spark-event-logs-path", "s3://b/logs/"],
    ["--conf", "spark.sql.shuffle.partitions=4 --conf spark.task.cpus=1"],
    ["--class", "GlueApp"],
    ["--scriptLocation", "s3://b/run.py"],
    ["--datalake-formats", "delta"],
    ["--customer-executor-env-vars", "A=b"],
    ["--write-shuffle-files-to-s3", "true"],
]


@pytest.mark.parametrize("glue", GLUE, ids=" ".join)
@pytest.mark.parametrize("place", [0, 2, 4, 5])
def test_arguments_of_glue_are_left_out_and_named(glue: list[str], place: int) -> None:
    """Wherever they stand, with a value or without; ours keep their meaning."""
    read = read_arguments([*OWN[:place], *glue, *OWN[place:]], "x")
    assert read.ignored == (glue[0].partition("=")[0],)
    assert (read.config, read.overrides) == ("s3://conf/one.yaml", ("a.b=1",))
    assert (read.output.is_quiet, read.output.as_json) == (True, False)


@pytest.mark.parametrize(
    "argument",
    [
        "--confg",
        "--Config",
        "--CONFIG",
        "--SET",
        "--sets",
        "--quite",
        "--job-name",
        "--enablemetrics",
    ],
)
def test_a_misspelt_argument_is_an_error(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not taken for one of Glue's."""
    with pytest.raises(SystemExit) as caught:
        read_arguments([*OWN, argument, "x"], "x")
    assert caught.value.code == 2
    assert f"unrecognized arguments: {argument} x" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["--json", "--log=json", None])
def test_wrong_use_has_the_form_that_the_arguments_ask_for(
    asked: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of the commands."""
    with pytest.raises(SystemExit) as ended:
        read_arguments([*OWN, "--nope", *([asked] if asked else [])], "x")
    assert ended.value.code == ExitCode.USAGE
    shown = capsys.readouterr()
    if asked == "--json":
        assert json.loads(shown.out)["error"]["topic"] == "usage"
    elif asked:
        assert json.loads(shown.err)["topic"] == "usage"
    assert shown.err.startswith("usage: ") == (asked is None)
    assert "--nope" in shown.out + shown.err


def test_a_plan_is_named_as_on_the_command_line() -> None:
    assert (
        read_arguments([*OWN, "--plan", "s3://conf/plan.json"], "x").plan == "s3://conf/plan.json"
    )
    assert read_arguments(OWN, "x").plan is None
