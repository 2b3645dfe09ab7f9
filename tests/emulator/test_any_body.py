"""A model answers or refuses any body. No body makes its job fail."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.prompt import PromptError
from bedrock_emulator.answers.schema import fit_schema
from bedrock_emulator.batch.records import RecordRules, RecordWork
from bedrock_emulator.errors import ServiceError
from bedrock_emulator.families.converse import check_body
from bedrock_emulator.families.family import BodyError, Context
from bedrock_emulator.families.registry import FAMILIES, family_of
from bedrock_emulator.runtime.prompt_cache import PromptCache
from bedrock_emulator.runtime.questions import (
    Target,
    question_of_body,
    question_of_conversation,
)
from bedrock_emulator.state.clock import Clock

from .test_families import IMAGE_CASES, MESSAGES, TEXT, TEXT_CASES

_WORDS = """
tools toolSpec toolChoice tool name inputSchema json schema type function format parameters
properties required items content text role json_schema anyOf $ref toolResult enum minimum maximum
minItems multipleOf a
"""
_KEYS = _WORDS.split()
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["auto", "tool", "text", "user", "function", "json_schema", "$ref", "#/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_BODIES: list[tuple[str, dict[str, Any], bool]] = [
    *((model, body, False) for model, body, _, _ in TEXT_CASES),
    *((model, body, False) for model, body, _ in IMAGE_CASES),
    ("amazon.titan-embed-text-v2:0", {"inputText": TEXT}, False),
    ("amazon.titan-embed-image-v1", {"inputText": TEXT}, False),
    ("cohere.embed-english-v3", {"texts": [TEXT], "input_type": "clustering"}, False),
    (
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        {"messages": [{"role": "user", "content": [{"text": TEXT}]}]},
        True,
    ),
]


_EVERY_MEMBER = sorted({name for f in FAMILIES for name in f.body.model_fields})


def _members(model_id: str, is_converse: bool) -> list[str]:
    family = family_of(model_id)
    assert family is not None
    if is_converse:
        return [*(f"{name}Config" for name in ("inference", "output", "tool", "guardrail")),
                "messages", "system", "additionalModelRequestFields"]  # fmt: skip
    # The members of other families, too: a body may be open, or checked by a rule for all families.
    return [*family.body.model_fields, *_EVERY_MEMBER]


def _process(model_id: str, body: Any, is_converse: bool) -> dict[str, Any]:
    family = family_of(model_id)
    assert family is not None
    context = Context(model_id, DeterministicBackend())
    work = RecordWork("job", family, context, is_converse, RecordRules((), 1))
    raw = json.dumps({"recordId": "a", "modelInput": body}).encode()
    line: dict[str, Any] = json.loads(work.process(raw, 0).line)
    return line


@pytest.mark.parametrize(("model_id", "body", "is_converse"), _BODIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_any_member_may_hold_anything(
    model_id: str, body: dict[str, Any], is_converse: bool, data: st.DataObject
) -> None:
    """Replace one or two members of a valid body: the record gets an answer or an error."""
    changes = data.draw(
        st.dictionaries(
            st.sampled_from(_members(model_id, is_converse)), _JSON, min_size=1, max_size=2
        )
    )
    line = _process(model_id, {**body, **changes}, is_converse)
    _check(line)


def _check(line: dict[str, Any]) -> None:
    """An answer, or an error of the caller: never one of the emulator."""
    assert ("error" in line) != ("modelOutput" in line)
    assert line["recordId"] == "a"
    if "error" in line:
        assert line["error"]["errorCode"] in (400, 403), line["error"]


_MARKS = st.sampled_from(
    [
        {"cachePoint": {"type": "default"}},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "x", "cache_control": {"ttl": 7}},
        {"type": "text", "text": "x", "cache_control": 7},
        {"text": "x", "cachePoint": 7},
    ]
)


_MARKED = [b for b in _BODIES if b[2] or b[0].startswith(("anthropic.", "amazon.nova", "ai21."))]


@pytest.mark.parametrize(("model_id", "body", "is_converse"), _MARKED)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_the_prompt_cache_of_calls_takes_any_body(
    model_id: str, body: dict[str, Any], is_converse: bool, data: st.DataObject
) -> None:
    """Whatever a model takes: marks at any place, members that mean nothing to it."""
    family = family_of(model_id)
    assert family is not None
    names = st.sampled_from(["messages", "system", "tools", "toolConfig"])
    value = _MARKS | st.lists(_MARKS | _JSON, max_size=3) | _JSON
    turns = st.fixed_dictionaries({"role": st.just("user"), "content": value | st.just(TEXT)})
    tools = st.fixed_dictionaries({"tools": value})
    changed = data.draw(st.dictionaries(names, value | st.lists(turns, max_size=2) | tools))
    context = Context(model_id, DeterministicBackend())
    target = Target(family, context, None, model_id, "us-east-1")
    with contextlib.suppress(ServiceError, BodyError):
        if is_converse:
            check_body({**body, **changed}, model_id)
            question = question_of_conversation(target, {**body, **changed})
        else:
            question = question_of_body(target, json.dumps({**body, **changed}).encode())
        cache = PromptCache(Clock(0.0))
        caching = cache.caching(
            context.backend, "us-east-1", model_id, question.body, is_converse=is_converse
        )
        assert caching is None or caching.counts(9) == (9, None)
        if caching is not None and question.prompt is not None:
            assert caching.complete(model_id, question.prompt).cache is not None


@given(_JSON | st.dictionaries(st.sampled_from(_EVERY_MEMBER), _JSON, max_size=6))
def test_any_body_at_all(value: Any) -> None:
    """A body that is not an object gets an output line, too."""
    for model_id, _, is_converse in _BODIES:
        _check(_process(model_id, value, is_converse))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": {"a": 1}},
        {"stopSequences": [1]},
        {"inferenceConfig": "["},
        {"inferenceConfig": {"maxTokens": "many"}},
        {"max_new_tokens": "many", "max_gen_len": [1]},
    ],
)
@pytest.mark.parametrize("model_id", ["cohere.command-r-v1:0", "amazon.nova-micro-v1:0"])
def test_members_of_other_families(model_id: str, changes: dict[str, Any]) -> None:
    """Command R ignores what it does not know; Nova Micro has a limit of tokens."""
    bodies = {model: body for model, body, _ in _BODIES}
    _check(_process(model_id, {**bodies.get(model_id, {"message": TEXT}), **changes}, False))


TOOL_SHAPES = [
    {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": 7}}}]},
    {"tools": [{"toolSpec": 7}]},
    {"tools": 7},
    {"tools": [], "toolChoice": {}},
    {"toolChoice": {"tool": 7}},
]


@pytest.mark.parametrize("config", TOOL_SHAPES)
def test_tool_configurations_of_nova(config: dict[str, Any]) -> None:
    """No service model checks Nova's own format, so any value reaches the family."""
    body = {"messages": [{"role": "user", "content": [{"text": TEXT}]}], "toolConfig": config}
    assert "recordId" in _process("amazon.nova-lite-v1:0", body, False)


@pytest.mark.parametrize("function", [{}, {"name": 7}, {"parameters": 7}, {"parameters": []}])
def test_functions_of_chat_models(function: dict[str, Any]) -> None:
    """No service model checks OpenAI's format, either."""
    for choice in ("auto", "required", {"function": 7}, {"function": {"name": 7}}):
        body = {"messages": MESSAGES, "tools": [{"function": function}], "tool_choice": choice}
        assert "recordId" in _process("qwen.qwen3-32b-v1:0", body, False)


@given(_JSON.filter(lambda value: isinstance(value, dict)), st.binary(min_size=1, max_size=8))
@settings(max_examples=300)
def test_any_schema_is_fitted_or_refused(schema: Any, key: bytes) -> None:
    """A schema comes from the caller and may be invalid."""
    with contextlib.suppress(PromptError):
        json.dumps(fit_schema(schema, key))
