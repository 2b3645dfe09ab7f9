"""The README's examples run as they are printed there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from bedrock_spark import jobs
from bedrock_spark.cli import main
from bedrock_spark.errors import ExitCode
from tests.e2e.conftest import BUCKET
from tests.modules import ROOT, run_script
from tests.spark_sessions import ROLE

README = (ROOT / "README.md").read_text(encoding="utf-8")
Start = Callable[..., LocalBedrock]
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
  "Principal": {"Service": "bedrock.amazonaws.com"}}]}"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def example_folder(
    spark: SparkSession, bedrock: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, LocalBedrock]:
    """Return a folder with the README's tickets.yaml, with paths that exist, and its Bedrock."""
    local = bedrock({"records": [{"share": 0.05, "code": 500}]})
    rows = spark.range(120).selectExpr(
        "concat('T-', id) AS ticket_id", "'a subject' AS subject", "concat('text ', id) AS body"
    )
    rows.write.parquet(str(tmp_path / "tickets"))
    values = yaml.safe_load(blocks("yaml")[0])
    values["run_uri"] = f"s3://{BUCKET}/runs/readme"
    values["source"]["path"] = str(tmp_path / "tickets")
    values["results"]["path"] = str(tmp_path / "classified")
    values["fallback"] = {"model_id": values["model"]["id"]}
    values["batch"] |= {"role_arn": ROLE, "poll_seconds": 0.1}
    values["endpoint_url"] = local.endpoint_url
    config = yaml.safe_dump(values)
    (tmp_path / "tickets.yaml").write_text(config)
    put_config(local, config.encode())
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    return tmp_path, local


def put_config(local: LocalBedrock, config: bytes) -> None:
    """Make the bucket, if it is not there, with the config in it."""
    s3 = local.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="tickets.yaml", Body=config)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_examples(
    spark: SparkSession, example_folder: tuple[Path, LocalBedrock], number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Every Python example runs unchanged and prints answers."""
    folder, _ = example_folder
    names = {"spark": spark, "tickets": spark.read.parquet(str(folder / "tickets"))}
    exec(compile(blocks("python")[number], "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "T-" in printed or "'ok': 120" in printed


@pytest.mark.long
def test_command_lines(
    example_folder: tuple[Path, LocalBedrock], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Every command with tickets.yaml works unchanged, and together they are one run.

    A fallback is added, as the page says, because a model that fails some records is more telling.

    All but the last run in this process, to share its Spark session.
    """
    folder, local = example_folder
    for name, value in local.environment().items():
        monkeypatch.setenv(name, value)
    # The path that the shell puts there, and a bucket that exists.
    program = str(Path(jobs.__file__).with_name("run.py"))
    stands_for = {"$(bedrock-spark jobs-path)": program, "s3://my-bucket/": f"s3://{BUCKET}/"}
    commands = [
        shlex.split(_replaced(line, stands_for), comments=True)
        for block in blocks("bash")
        for line in block.strip().split("\n")
        if "tickets.yaml" in line and " invoke " not in line
    ]
    check, doctor, preview, plan, *whole = commands[:6]
    stages = commands[6:]
    assert check == ["bedrock-spark", "check", "tickets.yaml"]
    assert call(check) == 0
    assert doctor == ["bedrock-spark", "doctor", "tickets.yaml"]
    local.client("iam").create_role(
        RoleName=ROLE.rsplit("/", 1)[-1], AssumeRolePolicyDocument=TRUST
    )
    assert call(doctor) == 0
    assert "source.key = [ticket_id]: is unique in 120 rows" in capsys.readouterr().out
    assert preview == ["bedrock-spark", "preview", "tickets.yaml"]
    assert call(preview) == 0
    assert "the whole  120 rows would cost" in capsys.readouterr().out
    local.reset()  # what is billed from now on is the run's
    put_config(local, (folder / "tickets.yaml").read_bytes())
    assert plan == ["bedrock-spark", "plan", "tickets.yaml"]
    assert call(plan) == ExitCode.TO_PAY
    assert "120: 120 records, 0 rejected" in capsys.readouterr().out
    assert [c[:2] for c in whole] == [["bedrock-spark", "run"], ["spark-submit", program]]
    prepare, advance, collect, fallback = stages
    assert call(prepare) == 0
    assert "120 rows: 120 records in 1 shards" in capsys.readouterr().out
    codes = []
    while not codes or codes[-1]:
        codes.append(call(advance))
    assert codes[0] == 10
    # The fallback may still answer rows: nothing is published before it has ended.
    assert call(collect) == 10
    assert not (folder / "classified").exists()
    assert call(fallback) == 0
    assert outcomes(folder) == {"ok"}
    # The run is finished: `run` only looks, and costs nothing.
    billed = local.usage()["totals"]
    assert call(whole[0]) == 0
    for shown in (capsys.readouterr().out, submit(whole[1], folder)):
        assert re.search("^rows in +120$", shown, re.MULTILINE)
    assert local.usage()["totals"] == billed
    # The 5 records of the canary were asked again, and no other.
    paid_again = local.usage()["paid_again"]
    assert (paid_again["records"], paid_again["answers"]) == (5, 5)


def _replaced(line: str, stands_for: dict[str, str]) -> str:
    for example, real in stands_for.items():
        line = line.replace(example, real)
    return line


def outcomes(folder: Path) -> set[str]:
    return set(pq.read_table(folder / "classified")["outcome"].to_pylist())


def call(command: list[str]) -> int:
    """Run a command in this process; return its exit code."""
    program, *arguments = command
    if program == "spark-submit":
        return run_script(Path(arguments[0]), *arguments[1:])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def submit(command: list[str], folder: Path) -> str:
    """Run a command of Spark as a child process; return what it printed."""
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
