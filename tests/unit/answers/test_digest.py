"""The digest says what was asked: what changes the answer changes it, and nothing else does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from bedrock_spark.answers.digest import (
    asking_of,
    contexts_of,
    guardrail_of,
    request_digest,
    request_digests,
)
from bedrock_spark.config import Config
from tests.models import CLAUDE_MODEL as CLAUDE
from tests.models import SONNET_MODEL as SONNET
from tests.unit.fakes import make_config

GUARDED = {"model_id": CLAUDE, "guardrail": {"id": "g1", "version": "1"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def context_of(config: Config, model_id: str, *, is_fallback: bool = False) -> bytes:
    guardrail = guardrail_of(config.fallback) if is_fallback else None
    return asking_of(config).context(model_id, guardrail)


def test_anyone_can_recompute_a_digest() -> None:
    """By the formula of docs/answers.md."""
    body = b'{"prompt":"x"}'
    context = {
        "guardrail": None,
        "invocation": "InvokeModel",
        "model": CLAUDE,
        "schema": None,
    }
    text = json.dumps(context, sort_keys=True, separators=(",", ":")).encode()
    expected = hashlib.sha256(hashlib.sha256(body).digest() + hashlib.sha256(text).digest())
    config = make_config(model={"id": CLAUDE})
    digest = request_digest(hashlib.sha256(body).digest(), context_of(config, CLAUDE))
    assert digest == expected.hexdigest()
    assert request_digests([hashlib.sha256(body).digest()], context_of(config, CLAUDE)) == [digest]


@pytest.mark.parametrize(
    "model_id",
    [
        f"us.{CLAUDE}",
        f"eu.{CLAUDE}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{CLAUDE}",
    ],
)
def test_a_model_is_one_model_through_every_profile(model_id: str) -> None:
    config = make_config(model={"id": CLAUDE})
    assert context_of(config, model_id) == context_of(config, CLAUDE)


OTHERS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "another model": ({}, SONNET, False),
    "Converse": ({"model": {"id": CLAUDE, "invocation": "converse"}}, CLAUDE, False),
    "a schema": (
        {"request": {"prompt": "{{ a }}", "schema": SCHEMA, "max_tokens": 9}},
        CLAUDE,
        False,
    ),
    "a guardrail": ({"fallback": GUARDED}, CLAUDE, True),
    "another version of a guardrail": (
        {"fallback": {**GUARDED, "guardrail": {"id": "g1", "version": "2"}}},
        CLAUDE,
        True,
    ),
}


def test_what_changes_an_answer_changes_the_digest() -> None:
    base = context_of(make_config(model={"id": CLAUDE}), CLAUDE)
    others = [
        context_of(
            make_config(**{"model": {"id": CLAUDE}, **changes}), model, is_fallback=is_fallback
        )
        for changes, model, is_fallback in OTHERS.values()
    ]
    assert len({base, *others}) == 1 + len(OTHERS)


def test_a_guardrail_is_of_single_calls_only() -> None:
    """Batch jobs take none."""
    guarded = make_config(model={"id": CLAUDE}, fallback=GUARDED)
    assert context_of(guarded, CLAUDE) == context_of(make_config(model={"id": CLAUDE}), CLAUDE)


@pytest.mark.parametrize(
    ("changes", "models"),
    [
        ({}, [(CLAUDE, False)]),
        ({"fallback": CLAUDE}, [(CLAUDE, False)]),
        ({"fallback": SONNET}, [(CLAUDE, False), (SONNET, True)]),
        ({"fallback": GUARDED}, [(CLAUDE, False), (CLAUDE, True)]),
        ({"targets": [{"model_id": f"us.{CLAUDE}"}]}, [(CLAUDE, False)]),
        (
            {"targets": [{"model_id": SONNET}], "fallback": CLAUDE},
            [(CLAUDE, False), (SONNET, False)],
        ),
    ],
)
def test_the_model_is_tried_first(changes: dict[str, Any], models: list[tuple[str, bool]]) -> None:
    config = make_config(**{"model": {"id": CLAUDE}, **changes})
    expected = [context_of(config, m, is_fallback=is_fallback) for m, is_fallback in models]
    assert list(contexts_of(config)) == expected
