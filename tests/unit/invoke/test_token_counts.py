"""Counting the tokens of requests: how far it is, because a thousand of them take minutes."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke import token_counts
from bedrock_spark.invoke.token_counts import count_tokens
from bedrock_spark.progress import Progress


def count(
    monkeypatch: pytest.MonkeyPatch, counts: dict[bytes, int | None], seen: list[Progress]
) -> list[int | None] | None:
    def counted(_client: Any, _model: str, _family: Any, body: bytes) -> int | None:
        return counts[body]

    monkeypatch.setattr(token_counts, "_count", counted)
    monkeypatch.setattr(token_counts, "runtime_client", lambda *_: None)
    family = family_by_name("anthropic")
    return count_tokens(AwsSettings("us-east-1"), "m", family, list(counts), seen.append)


def test_each_request_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the service does not count, too."""
    seen: list[Progress] = []
    counts = {b"%d" % n: n or None for n in range(1, 30)} | {b"x": None}
    assert count(monkeypatch, counts, seen) == list(counts.values())
    assert [(p.stage, p.done, p.total) for p in seen] == [("tokens", n, 30) for n in range(2, 31)]
    assert seen[-1].is_done


def test_a_model_whose_tokens_are_not_counted_shows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first request shows it."""
    seen: list[Progress] = []
    assert count(monkeypatch, {b"a": None, b"b": 1}, seen) is None
    assert seen == []
