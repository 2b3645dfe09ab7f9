"""boto3 clients: one retry layer per call, made once, and a clear error if no Region is set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from bedrock_spark.aws import clients
from bedrock_spark.aws.clients import (
    AwsSettings,
    bedrock_client,
    object_client,
    runtime_client,
    s3_client,
)
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import CLAUDE, CannedHttp, aws_failure

Canned = Callable[..., CannedHttp]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("ModelNotReadyException", 429),
        ("InternalServerException", 500),
        ("ServiceUnavailableException", 503),
        ("ValidationException", 400),
    ],
)
def test_botocore_itself_retries_no_model_call(
    runtime: Any, canned: Canned, code: str, status: int
) -> None:
    """One request per try, even if botocore calls the error retryable: tenacity retries."""
    http = canned(runtime, aws_failure(code, status))
    with pytest.raises(ClientError):
        runtime.invoke_model(modelId=CLAUDE, body=b"{}")
    assert len(http.sent) == 1


def test_botocore_itself_retries_no_lost_reply(bedrock: Any, runtime: Any, canned: Canned) -> None:
    """A create without a reply may have made a job; a model call without one may cost money."""
    for client, call in (
        (bedrock, lambda: bedrock.stop_model_invocation_job(jobIdentifier="abcdefghijkl")),
        (runtime, lambda: runtime.invoke_model(modelId=CLAUDE, body=b"{}")),
    ):
        http = canned(client, ReadTimeoutError(endpoint_url="https://x"))
        with pytest.raises(ReadTimeoutError):
            call()
        assert len(http.sent) == 1


def test_clients_are_made_once_per_settings() -> None:
    """Making one costs a tenth of a second; a task makes thousands of calls."""
    here, there = AwsSettings("us-east-1"), AwsSettings("us-east-1", "http://localhost:1")
    assert bedrock_client(here) is bedrock_client(AwsSettings("us-east-1"))
    assert s3_client(there) is s3_client(there)
    assert bedrock_client(here) is not bedrock_client(there)
    assert runtime_client(here, 60, 10) is runtime_client(here, 60, 10)
    assert runtime_client(here, 60, 10) is not runtime_client(here, 61, 10)


def test_threads_that_ask_at_the_same_time_share_one_client() -> None:
    """Sixteen threads fetch a task's objects. To make a client for each of them would take long."""
    aws, together = AwsSettings("us-east-1", "http://localhost:2"), threading.Barrier(16)

    def ask(_: int) -> Any:
        together.wait()
        return object_client(aws, 16)

    with ThreadPoolExecutor(16) as pool:
        assert len({id(client) for client in pool.map(ask, range(16))}) == 1


def test_settings_reach_the_clients() -> None:
    """Region, endpoint, the time a model may take, and a connection per call in flight."""
    client = runtime_client(AwsSettings("eu-west-1", "http://localhost:9"), 321, 17)
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.endpoint_url == "http://localhost:9"
    assert client.meta.config.read_timeout == 321
    assert client.meta.config.max_pool_connections == 17


def test_botocore_itself_retries_s3() -> None:
    """Up to eight attempts."""
    assert s3_client(AwsSettings("us-east-1")).meta.config.retries["total_max_attempts"] == 8


def test_without_a_region_the_key_that_sets_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's own text names neither the config's key nor the variable."""
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    clients._make_client.cache_clear()
    try:
        with pytest.raises(
            ConfigError, match=r"^batch\.region: is not set, and neither --region, AWS_REGION"
        ):
            bedrock_client(AwsSettings())
    finally:
        clients._make_client.cache_clear()


def test_without_a_configured_region_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS_REGION, which clusters set and boto3 does not read."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    clients._make_client.cache_clear()
    try:
        assert bedrock_client(AwsSettings()).meta.region_name == "ap-south-1"
    finally:
        clients._make_client.cache_clear()


def test_a_changed_environment_gets_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that sets another endpoint must not go on with the first."""
    made = []
    for port in (1, 2, 1):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        client: Any = s3_client(AwsSettings("us-east-1"))
        made.append(client)
    assert [client.meta.endpoint_url[-1] for client in made] == ["1", "2", "1"]
    assert made[0] is made[2]


SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIA-4711",
    "AWS_SECRET_ACCESS_KEY": "secret-4711",
    "AWS_SESSION_TOKEN": "token-4711",
    "AWS_BEARER_TOKEN_BEDROCK": "bearer-4711",
}


@pytest.mark.parametrize("name", SECRETS)
def test_new_credentials_in_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, canned: Canned, name: str
) -> None:
    """A notebook that exports new ones must not go on with those that have expired."""
    aws = AwsSettings("us-east-1")
    before = bedrock_client(aws)
    monkeypatch.setenv(name, SECRETS[name])
    client = bedrock_client(aws)
    assert client is not before
    assert bedrock_client(aws) is client
    http = canned(client, (200, {"invocationJobSummaries": []}))
    client.list_model_invocation_jobs()
    sent = " ".join(f"{k}: {v!r}" for k, v in http.sent[0].headers.items())
    if name != "AWS_SECRET_ACCESS_KEY":  # which is never sent
        assert SECRETS[name] in sent
    monkeypatch.delenv(name)
    if name == "AWS_SESSION_TOKEN":
        assert bedrock_client(aws) is before


def test_a_changed_profile_gets_another_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also if another file has the profiles."""
    aws = AwsSettings("us-east-1")
    credentials = tmp_path / "credentials"
    section = "[{}]\naws_access_key_id = {}\naws_secret_access_key = x\n"
    credentials.write_text("".join(section.format(n, f"AKIA{n}") for n in ("one", "two")))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    for name in SECRETS:  # they go before a profile
        monkeypatch.delenv(name, raising=False)
    used = []
    for profile in ("one", "two"):
        monkeypatch.setenv("AWS_PROFILE", profile)
        client: Any = s3_client(aws)
        used.append(client._request_signer._credentials.access_key)
    assert used == ["AKIAone", "AKIAtwo"]


def test_no_credential_is_in_the_key_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key lives as long as the process, and shows in a debugger or a dump."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    digest = clients._environment_digest()
    assert len(digest) == 64
    assert not any(value in digest for value in SECRETS.values())
    keys: list[tuple[Any, ...]] = []
    monkeypatch.setattr(clients, "_make_client", lambda *key: keys.append(key))
    bedrock_client(AwsSettings("us-east-1"))
    assert "4711" not in repr(keys)
    assert digest in keys[0]
