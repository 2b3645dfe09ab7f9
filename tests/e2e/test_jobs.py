"""The entry points as users start them: the jobs for spark-submit, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_emulator import LocalBedrock
from tests.e2e.conftest import BUCKET, provision
from tests.modules import ROOT, run_script
from tests.spark_sessions import ROLE

BIN = Path(sys.executable).parent
Start = Callable[..., LocalBedrock]

CONFIG = """
run_uri: s3://{bucket}/runs/jobs
source: {{format: parquet, path: {source}, key: [id]}}
model: {{id: us.anthropic.claude-haiku-4-5-20251001-v1:0}}
request: {{prompt: "Classify: {{{{ body }}}}", max_tokens: 20}}
shards: {{max_records: 40, min_records: 10}}
batch: {{role_arn: {role}, region: us-east-1, poll_seconds: 0.1}}
fallback: {{model_id: {fallback}, max_share: 0.5}}
results: {{path: {results}}}
endpoint_url: {endpoint}
"""


@pytest.fixture
def config(bedrock: Start, tmp_path: Path) -> tuple[Path, LocalBedrock]:
    """Return a config file that asks about 100 tickets, and its local Bedrock."""
    local = bedrock({"quotas": {"min_records": 10}, "records": [{"share": 0.1, "code": 500}]})
    source = tmp_path / "tickets.parquet"
    ids = list(range(100))
    pq.write_table(pa.table({"id": ids, "body": [f"ticket {i}" for i in ids]}), source)
    path = tmp_path / "tickets.yaml"
    path.write_text(
        CONFIG.format(
            bucket=BUCKET,
            source=source,
            role=ROLE,
            fallback=provision(local),
            results=tmp_path / "results",
            endpoint=local.endpoint_url,
        )
    )
    return path, local


def start(local: LocalBedrock, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **local.environment(), "SPARK_CONF_DIR": str(ROOT / "conf")}
    return subprocess.run(
        [str(c) for c in command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_wrong_config_value_is_a_message(config: tuple[Path, LocalBedrock]) -> None:
    """The message names the key, the value and what is allowed. No traceback; exit code 3."""
    path, local = config
    done = start(local, BIN / "bedrock-spark", "run", path, "--set", "batch.timeout_hours=1000")
    assert done.returncode == 3
    assert "batch.timeout_hours = 1000: must be less than or equal to 168" in done.stderr
    assert "Traceback" not in done.stderr


def test_entry_points_are_thin() -> None:
    """An entry point reads arguments and config, makes one call, and exits: at most 60 lines."""
    jobs = sorted(p for p in (ROOT / "jobs").glob("*.py") if p.name != "__init__.py")
    assert [p.stem for p in jobs] == ["collect", "doctor", "fallback", "prepare", "run", "submit"]
    for path in jobs:
        assert len(path.read_text().splitlines()) <= 60


@pytest.mark.long
@pytest.mark.versions
@pytest.mark.usefixtures("spark")
def test_entry_points_share_one_run(
    config: tuple[Path, LocalBedrock], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` finishes a run that single stages began. The counts add up, and no prompt is logged."""
    path, local = config
    assert run_script(ROOT / "jobs" / "prepare.py", "--config", str(path)) == 0
    assert "100 rows: 100 records in " in capsys.readouterr().out
    watched = start(local, sys.executable, ROOT / "jobs" / "submit.py", "--config", path)
    assert watched.returncode == 0, watched.stderr
    assert start(local, BIN / "bedrock-spark", "advance", path).returncode == 0
    done = start(local, BIN / "bedrock-spark", "run", path, "--verbose")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "ticket 42" not in done.stderr + done.stdout + watched.stderr + watched.stdout
    stored = local.client("s3").get_object(Bucket=BUCKET, Key="runs/jobs/report.json")
    report = json.loads(stored["Body"].read())
    assert report.keys() >= {
        "run_id", "rows", "outcomes", "served_by", "shards", "jobs", "attempts", "tokens",
        "findings",
    }  # fmt: skip
    assert report["rows"] == sum(report["outcomes"].values()) == 100
    published = pq.read_table(tmp_path / "results")
    assert sorted(published["id"].to_pylist()) == list(range(100))
    assert set(published["outcome"].to_pylist()) == {"ok"}
    paid_again = local.usage()["paid_again"]
    asked = report["canary"]["asked"]
    assert (paid_again["records"], paid_again["answers"]) == (asked, asked) == (5, 5)


def test_submit_before_prepare_is_an_error(config: tuple[Path, LocalBedrock]) -> None:
    """The message says which stage to run first."""
    path, local = config
    done = start(local, BIN / "bedrock-spark", "submit", path)
    assert done.returncode == 1
    assert "run prepare first" in done.stderr
