"""Schemas in requests: the local Bedrock answers in the shape, and refuses what the service does.

The package's own rules are compared with it: what the linter lets through must be taken, and what
it refuses must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.families import family_of
from bedrock_spark.families.asked_shape import asked_shape, build_body
from bedrock_spark.families.lint import lint
from bedrock_spark.outputs.judge import Judge
from tests.unit.families.test_asked_shape import SCHEMA, TOOLS, WAYS, config_of, converse
from tests.unit.families.test_schema_rules import FAULTS
from tests.unit.outputs.test_schema_check import SCHEMA as BOUNDED

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CLAUDE_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
NOVA = "amazon.nova-lite-v1:0"
SERVED = [
    HAIKU,
    CLAUDE_4,
    NOVA,
    QWEN,
    "openai.gpt-oss-120b-1:0",
    "mistral.mistral-large-2407-v1:0",
    "mistral.ministral-3-8b-instruct",
    "deepseek.v3-v1:0",
    converse(HAIKU),
    converse(QWEN),
    converse("openai.gpt-oss-120b-1:0"),
]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    with LocalBedrock(speed=0) as local:
        yield local.client("bedrock-runtime")


def ask(runtime: Any, model: Any, body: dict[str, Any]) -> bytes:
    """Send a body, and return the answer as a batch's output has it."""
    text = json.loads(json.dumps(body).replace("{{ body }}", "Two lamps for Ann, please."))
    if isinstance(model, dict):
        answer = runtime.converse(modelId=model["id"], **text)
        return json.dumps({k: answer[k] for k in ("output", "stopReason", "usage")}).encode()
    answer = runtime.invoke_model(modelId=model, body=json.dumps(text))["body"].read()
    assert isinstance(answer, bytes)
    return answer


@pytest.mark.parametrize("model", SERVED, ids=str)
def test_an_answer_has_the_shape_that_was_asked_for(runtime: Any, model: Any) -> None:
    """In every form of request, read by the family and judged by the schema."""
    config = config_of(model, SCHEMA, request={"max_tokens": 400})
    asked = asked_shape(config)
    assert asked.way is not None
    output = ask(runtime, model, build_body(config))
    family = family_of(config)
    judged = Judge(family, (), SCHEMA)(output)
    assert (judged.ended, judged.parsed and judged.parsed.reason) == ("ok", None)
    answer = family.read(json.loads(output))
    assert bool(answer.tool_input) == asked.way.is_tool
    assert bool(answer.text) != asked.way.is_tool


@pytest.mark.parametrize("model", [HAIKU, NOVA, QWEN, "mistral.ministral-3-8b-instruct"])
def test_a_tool_that_must_be_called_is_called(runtime: Any, model: str) -> None:
    """Its input is in tool_input, and fits."""
    tools = TOOLS[:1]
    config = config_of(model, request={"tools": tools, "tool_choice": "open", "max_tokens": 400})
    output = ask(runtime, model, build_body(config))
    family = family_of(config)
    assert Judge(family, (), SCHEMA)(output).ended == "ok"
    assert family.read(json.loads(output)).tool_input is not None


@pytest.mark.parametrize(("schema", "place", "words", "only_claude"), FAULTS)
def test_the_linter_refuses_what_the_local_bedrock_refuses(
    runtime: Any, schema: dict[str, Any], place: str, words: str, only_claude: bool
) -> None:
    """Each rule, for Claude and for an open-weight model, by InvokeModel and Converse."""
    for model in (HAIKU, QWEN, converse(HAIKU), converse(QWEN)):
        config = config_of(model, schema)
        is_claude = "claude" in str(model)
        assert bool(lint(config)) == (is_claude or not only_claude)
        if lint(config):
            with pytest.raises(botocore.exceptions.ClientError, match="ValidationException"):
                ask(runtime, model, build_body(config))
        else:
            ask(runtime, model, build_body(config))


def test_a_tool_that_is_not_strict_takes_what_a_grammar_does_not(runtime: Any) -> None:
    """Nova is asked by such a tool: bounds are allowed, and honoured by the local Bedrock."""
    config = config_of(NOVA, BOUNDED)
    assert lint(config) == []
    output = ask(runtime, NOVA, build_body(config))
    assert Judge(family_of(config), (), BOUNDED)(output).ended == "ok"
    strict = {"name": "t", "input_schema": BOUNDED, "strict": True}
    config = config_of(HAIKU, request={"tools": [strict]})
    assert [finding.rule for finding in lint(config)] == ["schema"]
    with pytest.raises(botocore.exceptions.ClientError, match="minLength"):
        ask(runtime, HAIKU, build_body(config))


@pytest.mark.parametrize("model", [CLAUDE_4, converse(CLAUDE_4), converse(NOVA)], ids=str)
def test_a_model_without_output_formats_refuses_them(runtime: Any, model: Any) -> None:
    """Claude before 4.5 and Nova; the config asks them in another way, or not at all."""
    put = next(way.put for way in family_of(config_of(model)).ways)
    body = put(build_body(config_of(model)), SCHEMA)
    with pytest.raises(botocore.exceptions.ClientError, match=r"not permitted|doesn't support"):
        ask(runtime, model, body)


def test_every_way_is_tried() -> None:
    """The models above have all ways that there are."""
    ways = {asked_shape(config_of(model, SCHEMA)).way for model in SERVED}
    names = {way.name for way in ways if way is not None}
    assert names == {way for _, way, _ in WAYS if way is not None}
