"""What doctor says if it can look at little: a wrong config, no Region, no credentials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from click.testing import CliRunner

from bedrock_spark.aws.clients import AwsSettings, quick_client
from bedrock_spark.cli import main
from bedrock_spark.doctor import diagnose
from bedrock_spark.errors import ExitCode
from tests.modules import ROOT, run_script
from tests.unit.fakes import CannedHttp, config_values

Canned = Callable[..., CannedHttp]


def written(folder: Path, **sections: Any) -> str:
    path = folder / "tickets.yaml"
    path.write_text(json.dumps(config_values(**sections)))
    return str(path)


def by_subject(path: str) -> dict[str, list[str]]:
    groups = diagnose(path).groups
    return {g.subject: [f"{f.level}: {f.what}" for f in g.findings] for g in groups}


def test_a_wrong_config_is_all_that_is_looked_at(tmp_path: Path) -> None:
    """Every problem is a line, as `check` has them."""
    path = written(tmp_path, model={"id": "amazon.nova-lit-v1:0"}, shards={"max_records": 0})
    found = by_subject(path)
    assert list(found) == ["config"]
    assert len(found["config"]) == 2
    assert all(line.startswith(f"error: {path}:") for line in found["config"])
    result = CliRunner().invoke(main, ["doctor", path, "--no-spark"])
    assert result.exit_code == ExitCode.FAILED
    assert result.stderr.startswith(f"error: {path}: 2 errors\n")
    assert run_script(ROOT / "jobs" / "doctor.py", "--config", path, "--quiet") == ExitCode.FAILED


def test_without_a_region_nothing_in_aws_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    found = by_subject(written(tmp_path, batch={"region": None}))
    assert list(found) == ["config", "account", "disk"]
    assert found["account"][0].startswith("error: batch.region: is not set")


def test_without_credentials_there_is_one_line_for_all_of_aws(
    tmp_path: Path, canned: Canned
) -> None:
    failure = NoCredentialsError()
    canned(quick_client("sts", AwsSettings("us-east-1")), failure, failure)
    found = by_subject(written(tmp_path))
    assert list(found) == ["config", "account", "disk"]
    assert found["account"] == [
        "error: credentials: the credentials are not accepted (NoCredentialsError)",
        "not checked: the clock: no reply with the time of AWS",
        "not checked: everything else in AWS, because it needs credentials",
    ]
