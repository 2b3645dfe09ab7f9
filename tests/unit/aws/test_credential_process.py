"""The AWS SDK for Java gets the credentials of boto3, in the form that it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.session import get_session

from bedrock_spark.aws import credential_process
from bedrock_spark.aws.credential_process import credentials_json

SCRIPT = Path(credential_process.__file__)


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the SDK does: by its path, elsewhere, with the user's variables."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-P", str(SCRIPT)],
        env={**kept, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_profile(tmp_path: Path) -> None:
    """Any profile that boto3 can read serves, here one with a process of its own."""
    expiration = "2099-01-01T00:00:00Z"
    reply = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s", "SessionToken": "t"}
    (tmp_path / "reply").write_text(json.dumps({**reply, "Expiration": expiration}))
    (tmp_path / "config").write_text(
        f"[profile mine]\ncredential_process = cat {tmp_path / 'reply'}\n"
    )
    done = run(tmp_path, AWS_PROFILE="mine", AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert json.loads(done.stdout) == {**reply, "Expiration": expiration}
    assert (done.returncode, done.stderr) == (0, "")


def test_keys_without_an_end(tmp_path: Path) -> None:
    """Keys that do not expire have no Expiration, so the SDK keeps them."""
    done = run(tmp_path, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="s")
    assert json.loads(done.stdout) == {
        "Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "s"
    }  # fmt: skip


@pytest.mark.parametrize("variables", [{}, {"AWS_PROFILE": "absent"}])
def test_no_credentials(tmp_path: Path, variables: dict[str, str]) -> None:
    """The reason is on stderr, which the SDK puts into its error."""
    done = run(tmp_path, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert "credentials" in done.stderr
    assert "Traceback" not in done.stderr


def test_credentials_that_expire() -> None:
    """The end of temporary credentials is told in UTC, so the SDK asks again in time."""
    end = datetime.now(UTC) + timedelta(hours=1)
    session = get_session()
    session._credentials = RefreshableCredentials(
        "AKIA", "s", "t", end, refresh_using=dict, method="test"
    )
    text = credentials_json(boto3.session.Session(botocore_session=session))
    assert text is not None
    assert json.loads(text)["Expiration"] == end.strftime("%Y-%m-%dT%H:%M:%SZ")
