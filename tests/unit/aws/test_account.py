"""The account of the credentials, as STS tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from bedrock_spark.aws.account import account_id
from bedrock_spark.aws.clients import AwsSettings, sts_client
from tests.unit.fakes import ACCOUNT, CannedHttp

AWS = AwsSettings("us-east-1", "http://localhost:9")
NO_REPLY = EndpointConnectionError(endpoint_url="http://localhost:9")


def told(account: str) -> bytes:
    return (
        "<GetCallerIdentityResponse><GetCallerIdentityResult>"
        f"<Account>{account}</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    ).encode()


@pytest.mark.parametrize(
    ("replies", "account"),
    [
        ([(200, told(ACCOUNT))], ACCOUNT),
        ([(503, b""), (200, told(ACCOUNT))], ACCOUNT),
        ([(200, b"<GetCallerIdentityResponse/>")], None),
        ([(403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")], None),
        ([(404, b"not found")], None),
        ([(200, b"<html>")], None),
        ([(503, b"{}")], None),
        ([NO_REPLY] * 3, None),
    ],
)
def test_the_account_is_told_or_unknown(
    monkeypatch: pytest.MonkeyPatch,
    canned: Callable[..., CannedHttp],
    replies: list[Any],
    account: str | None,
) -> None:
    """A run works without the answer: no failure of the call is an error."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    canned(sts_client(AWS), *replies)
    assert account_id(AWS) == account


def test_a_network_without_a_way_to_sts_costs_seconds() -> None:
    """Every command asks."""
    config = sts_client(AWS).meta.config  # type: ignore[attr-defined]
    assert config.connect_timeout * config.retries["total_max_attempts"] <= 15
