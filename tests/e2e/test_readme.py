"""The README's examples, run as a reader would type them."""

from __future__ import annotations

import os
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

from bedrock_spark.emulator import LocalBedrock
from tests.e2e.conftest import BUCKET, provision
from tests.sparks import ROLE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
Start = Callable[..., LocalBedrock]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def here(
    spark: SparkSession, bedrock: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, LocalBedrock]:
    """Return a folder with the README's tickets.yaml, its places moved to where they exist here."""
    local = bedrock({"records": [{"share": 0.05, "code": 500}]})
    rows = spark.range(120).selectExpr(
        "concat('T-', id) AS ticket_id", "'a subject' AS subject", "concat('text ', id) AS body"
    )
    rows.write.parquet(str(tmp_path / "tickets"))
    values = yaml.safe_load(blocks("yaml")[0])
    values["run_uri"] = f"s3://{BUCKET}/runs/readme"
    values["source"]["path"] = str(tmp_path / "tickets")
    values["results"]["path"] = str(tmp_path / "classified")
    values["fallback"]["model_id"] = provision(local)
    values["batch"] |= {"role_arn": ROLE, "poll_seconds": 0.1}
    values["endpoint_url"] = local.endpoint_url
    (tmp_path / "tickets.yaml").write_text(yaml.safe_dump(values))
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    return tmp_path, local


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_examples(
    spark: SparkSession, here: tuple[Path, LocalBedrock], number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Every Python example runs as it stands and ends with answers."""
    folder, _ = here
    names = {"spark": spark, "tickets": spark.read.parquet(str(folder / "tickets"))}
    exec(compile(blocks("python")[number], "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "T-" in printed or "'ok': 120" in printed


def test_command_lines(here: tuple[Path, LocalBedrock]) -> None:
    """Every command of `Use it` works as it stands, and together they are one run."""
    folder, local = here
    commands = [
        shlex.split(line, comments=True)
        for block in blocks("bash")
        for line in block.strip().split("\n")
        if "tickets.yaml" in line and " invoke " not in line
    ]
    whole, stages = commands[:2], commands[2:]
    assert [c[:2] for c in whole] == [["bedrock-spark", "run"], ["spark-submit", "jobs/run.py"]]
    prepare, advance, collect, fallback = stages
    assert "120 rows: 120 records in 1 shards" in run(prepare, folder, local).stdout
    codes = []
    while not codes or codes[-1]:
        codes.append(run(advance, folder, local).returncode)
    assert codes[0] == 10
    run(collect, folder, local)
    assert outcomes(folder) == {"ok", "error"}
    run(fallback, folder, local)
    assert outcomes(folder) == {"ok"}
    # All that is left for `run` is to look: the same answers, for nothing.
    billed = local.usage()["totals"]
    assert "rows in           120" in run(whole[1], folder, local).stdout
    assert local.usage()["totals"] == billed
    assert local.usage()["billed_again"] == {}


def outcomes(folder: Path) -> set[str]:
    return set(pq.read_table(folder / "classified")["outcome"].to_pylist())


def run(command: list[str], folder: Path, local: LocalBedrock) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=folder,
        env={**os.environ, **local.environment()},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode in (0, 10), done.stderr[-2000:]
    return done
