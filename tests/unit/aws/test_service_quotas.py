"""How many active batch jobs the account may have, by Service Quotas."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from bedrock_spark.aws.clients import AwsSettings, quotas_client
from bedrock_spark.aws.service_quotas import read_job_quota, slots_among
from tests.unit.fakes import CLAUDE_MODEL, CannedHttp

JOBS = "Sum of in-progress and submitted batch inference jobs using a base model for "
QUOTAS = [
    ("On-demand InvokeModel requests per minute for Claude Haiku 4.5", 1000.0),
    (JOBS + "Claude Haiku 4.5", 20.0),
    (JOBS + "Claude 3.5 Sonnet", 21.0),
    (JOBS + "Claude 3.5 Sonnet v2", 22.0),
    (JOBS + "Claude 3 Sonnet", 23.0),
    (JOBS + "Nova Pro", 24.0),
]


@pytest.mark.parametrize(
    ("model_id", "slots"),
    [
        (CLAUDE_MODEL, 20),
        ("us." + CLAUDE_MODEL, 20),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", 21),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 22),
        ("anthropic.claude-3-sonnet-20240229-v1:0", 23),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", 24),
        ("amazon.nova-lite-v1:0", None),
        ("meta.llama3-8b-instruct-v1:0", None),
    ],
)
def test_the_quota_is_the_one_whose_name_fits_the_model_best(
    model_id: str, slots: int | None
) -> None:
    """Whole words, in order, without the date; the longest name wins."""
    assert slots_among(QUOTAS, model_id) == slots


@pytest.fixture
def client() -> Any:
    return quotas_client(AwsSettings("us-east-1", "http://localhost:9"))


def test_every_page_is_read(client: Any, canned: Callable[..., CannedHttp]) -> None:
    """An account has more quotas than fit a page."""
    pages = [
        {"Quotas": [{"QuotaName": "x", "Value": 1.0}], "NextToken": "t"},
        {"Quotas": [{"QuotaName": QUOTAS[1][0], "Value": 20.0}]},
    ]
    canned(client, *((200, page) for page in pages))
    assert read_job_quota(client, CLAUDE_MODEL) == 20


@pytest.mark.parametrize(
    ("replies", "level"),
    [
        ([(400, {"__type": "AccessDeniedException", "message": "no"})], logging.INFO),
        ([(500, b"<html>")] * 2, logging.WARNING),
        ([EndpointConnectionError(endpoint_url="http://localhost:9")] * 2, logging.WARNING),
    ],
)
def test_without_an_answer_the_number_is_unknown(
    client: Any,
    canned: Callable[..., CannedHttp],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    replies: list[Any],
    level: int,
) -> None:
    """The reason is logged once: a warning, except for a missing permission, which is usual."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    canned(client, *replies)
    with caplog.at_level(logging.INFO, "bedrock_spark"):
        assert read_job_quota(client, CLAUDE_MODEL) is None
    assert [record.levelno for record in caplog.records] == [level]
