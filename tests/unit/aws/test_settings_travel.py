"""Region, endpoint and profile of the driver reach the executors; credentials do not."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from bedrock_spark.aws import clients
from bedrock_spark.aws.clients import AwsSettings, runtime_client, s3_client
from bedrock_spark.storage import S3Storage

PROFILES = """
[profile team]
region = eu-central-1
services = team
[services team]
s3 =
  endpoint_url = http://127.0.0.1:7001
"""
CREDENTIALS = """
[team]
aws_access_key_id = of-the-team
aws_secret_access_key = SECRET
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any setting of AWS; its two files may be written."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    clients._driver_settings.cache_clear()
    clients._make_client.cache_clear()
    return monkeypatch


def become_executor(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all that the driver's machine had; the executor has an instance profile."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        machine.delenv(name, raising=False)
    for name in ("config", "credentials"):
        (tmp_path / name).unlink(missing_ok=True)
    clients._make_client.cache_clear()


@pytest.mark.parametrize(
    ("variables", "s3", "bedrock"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1", "http://127.0.0.1:1"),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"},
            "http://127.0.0.1:2",
            "https://bedrock-runtime.eu-west-1.amazonaws.com",
        ),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:3",
            },
            "http://127.0.0.1:1",
            "http://127.0.0.1:3",
        ),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            },
            None,
            "https://bedrock-runtime.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_the_endpoints_of_the_driver_count_on_executors(
    machine: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    s3: str | None,
    bedrock: str,
) -> None:
    """As boto3 finds them on the driver, service by service; and the Region."""
    machine.setenv("AWS_REGION", "eu-west-1")
    for name, value in variables.items():
        machine.setenv(name, value)
    sent = pickle.dumps(S3Storage("s3://b/r", AwsSettings()))
    become_executor(machine, tmp_path)
    machine.delenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", raising=False)
    aws = pickle.loads(sent).aws
    assert aws.region == "eu-west-1"
    found = s3_client(aws).meta.endpoint_url
    assert found == s3 if s3 is not None else "amazonaws.com" in found
    assert runtime_client(aws, 60, 1).meta.endpoint_url == bedrock


def test_an_executor_s_own_settings_win(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its endpoint may be that of its own network. What the config names wins over both."""
    machine.setenv("AWS_REGION", "eu-west-1")
    machine.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    sent = [pickle.dumps(AwsSettings()), pickle.dumps(AwsSettings("us-east-1", "http://[::1]:9"))]
    become_executor(machine, tmp_path)
    machine.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:8")
    resolved, named = map(pickle.loads, sent)
    assert s3_client(resolved).meta.endpoint_url == "http://127.0.0.1:8"
    assert s3_client(named).meta.endpoint_url == "http://[::1]:9"
    assert named.region == "us-east-1"


def test_the_profile_of_the_driver_is_used_if_the_executor_has_it(
    machine: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Region and endpoint of the profile travel; its credentials are read where they are used."""
    (tmp_path / "config").write_text(PROFILES)
    (tmp_path / "credentials").write_text(CREDENTIALS)
    machine.setenv("AWS_PROFILE", "team")
    sent = pickle.dumps(AwsSettings())
    assert b"SECRET" not in sent
    assert b"of-the-team" not in sent
    become_executor(machine, tmp_path)
    (tmp_path / "credentials").write_text(CREDENTIALS)
    client = s3_client(pickle.loads(sent))
    assert client.meta.endpoint_url == "http://127.0.0.1:7001"
    assert client.meta.region_name == "eu-central-1"
    assert client._request_signer._credentials.access_key == "of-the-team"


@pytest.mark.parametrize("variable", [None, "AWS_ACCESS_KEY_ID"])
def test_a_profile_that_an_executor_lacks_breaks_nothing(
    machine: pytest.MonkeyPatch, tmp_path: Path, variable: str | None
) -> None:
    """Its instance profile or its own keys are used, as without a profile."""
    (tmp_path / "config").write_text(PROFILES)
    (tmp_path / "credentials").write_text(CREDENTIALS)
    machine.setenv("AWS_PROFILE", "team")
    sent = pickle.dumps(AwsSettings())
    become_executor(machine, tmp_path)
    if variable is not None:
        (tmp_path / "credentials").write_text(CREDENTIALS)  # it has both: its keys count
        machine.setenv("AWS_ACCESS_KEY_ID", "own")
        machine.setenv("AWS_SECRET_ACCESS_KEY", "own")
    client = s3_client(pickle.loads(sent))
    credentials = client._request_signer._credentials
    assert (credentials.access_key if credentials else None) == ("own" if variable else None)


def test_what_was_received_is_sent_on_unchanged(
    machine: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An executor that sends settings on adds nothing of its own."""
    machine.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    machine.setenv("AWS_REGION", "eu-west-1")
    first = pickle.loads(pickle.dumps(AwsSettings()))
    machine.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5")
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_profile_that_the_driver_lacks_is_an_error_of_its_first_call(
    machine: pytest.MonkeyPatch,
) -> None:
    """Not of sending a task."""
    machine.setenv("AWS_PROFILE", "nowhere")
    received = pickle.loads(pickle.dumps(AwsSettings("us-east-1")))
    assert received.region == "us-east-1"
