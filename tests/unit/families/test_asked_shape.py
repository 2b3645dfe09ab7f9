"""The shape that a model is asked for: the way of each model, its body, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from bedrock_spark.check import check_config
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, bare_model_id, family_of
from bedrock_spark.families.asked_shape import AskedShape, asked_shape, build_body
from bedrock_spark.families.lint import lint
from bedrock_spark.families.request_body import body_template
from bedrock_spark.families.ways import FORCED_TOOL
from tests.docs import ROOT
from tests.unit.fakes import config_values, make_config

DOC = (ROOT / "docs" / "structured.md").read_text(encoding="utf-8")
COLUMNS = "label string NOT NULL COMMENT 'spam or ham', parts array<struct<n:int, at:date>>"
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "description": "spam or ham"},
        "parts": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {
                    "n": {"type": ["integer", "null"]},
                    "at": {"type": ["string", "null"], "format": "date"},
                },
                "required": ["n", "at"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["label", "parts"],
    "additionalProperties": False,
}
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"


def config_of(model: Any, schema: Any = None, columns: str = "", **more: Any) -> Config:
    request = {"prompt": "Read: {{ body }}", "max_tokens": 50, **more.pop("request", {})}
    request |= {} if schema is None else {"schema": schema}
    results = {"results": {"parse": columns}} if columns else {}
    model = {"id": model} if isinstance(model, str) else model
    return make_config(model=model, request=request, **results, **more)


def converse(model_id: str) -> dict[str, str]:
    return {"id": model_id, "invocation": "converse"}


# Model, way, and whether it is the default.
WAYS: list[tuple[Any, str | None, bool]] = [
    (HAIKU, "output_config.format", True),
    ("anthropic.claude-opus-4-6-v1", "output_config.format", True),
    ("anthropic.claude-sonnet-5", "output_config.format", False),
    ("us.anthropic.claude-fable-5-1", "output_config.format", False),
    ("anthropic.claude-newword-6", "output_config.format", False),
    ("anthropic.claude-opus-5-20270101-v1:0", "output_config.format", False),
    ("anthropic.claude-opus-4-8", FORCED_TOOL, False),
    ("anthropic.claude-sonnet-4-20250514-v1:0", FORCED_TOOL, False),
    ("anthropic.claude-3-5-sonnet-20241022-v2:0", FORCED_TOOL, False),
    ("anthropic.claude-instant-v1", FORCED_TOOL, False),
    ("us.anthropic.claude-opus-4-7", FORCED_TOOL, False),
    ("anthropic.claude-opus-4-1-20250805-v1:0", FORCED_TOOL, False),
    (NOVA, FORCED_TOOL, False),
    ("us.amazon.nova-2-lite-v1:0", FORCED_TOOL, False),
    ("mistral.mistral-large-2407-v1:0", FORCED_TOOL, False),
    ("mistral.ministral-3-8b-instruct", "response_format", True),
    ("mistral.magistral-small-2509", "response_format", False),
    ("openai.gpt-oss-120b-1:0", "response_format", False),
    ("qwen.qwen3-32b-v1:0", "response_format", True),
    ("deepseek.v3.2", "response_format", True),
    (converse(HAIKU), "outputConfig.textFormat", True),
    (converse("qwen.qwen3-32b-v1:0"), "outputConfig.textFormat", True),
    (converse("anthropic.claude-sonnet-5"), "outputConfig.textFormat", False),
    (converse("xai.grok-4.6"), "outputConfig.textFormat", False),
    (converse("meta.llama3-3-70b-instruct-v1:0"), None, False),
    ("meta.llama3-3-70b-instruct-v1:0", None, False),
    ("deepseek.r1-v1:0", None, False),
    ("amazon.titan-text-express-v1", None, False),
]


@pytest.mark.parametrize(("model", "way", "by_default"), WAYS, ids=str)
def test_each_model_is_asked_in_its_own_way(model: Any, way: str | None, by_default: bool) -> None:
    """Columns ask by default only where it is known to work; `columns` and a schema always."""
    for schema, columns in (("columns", COLUMNS), (SCHEMA, "")):
        config = config_of(model, schema, columns)
        asked = asked_shape(config)
        assert asked.schema == SCHEMA
        assert (asked.way.name if asked.way else None) == way
        assert lint(config) == []
        body_template(config)
    unasked = asked_shape(config_of(model, None, COLUMNS))
    assert (unasked.way is not None) == by_default
    assert bool(unasked.reason) != by_default
    assert asked_shape(config_of(model, "none", COLUMNS)).way is None
    assert asked_shape(config_of(model)) == AskedShape()


def rest_of(config: Config) -> dict[str, Any]:
    """Return the body without what a body without a schema has."""
    plain = family_of(config).build(config.request, bare_model_id(config.model.id))
    return {key: value for key, value in build_body(config).items() if key not in plain}


def test_the_schema_is_in_the_place_that_each_api_has() -> None:
    """The forms of the Amazon Bedrock user guide and of the Amazon Nova user guide."""
    assert rest_of(config_of(HAIKU, SCHEMA)) == {
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}
    }
    assert rest_of(config_of("openai.gpt-oss-20b-1:0", SCHEMA)) == {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA},
        }
    }
    (config,) = rest_of(config_of(converse(HAIKU), SCHEMA)).values()
    structure = config["textFormat"].pop("structure")
    assert config == {"textFormat": {"type": "json_schema"}}
    assert json.loads(structure["jsonSchema"].pop("schema")) == SCHEMA
    assert structure == {"jsonSchema": {"name": "answer"}}
    tool = {"name": "answer", "description": "Write the answer."}
    assert rest_of(config_of(NOVA, SCHEMA)) == {
        "toolConfig": {
            "tools": [{"toolSpec": {**tool, "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"tool": {"name": "answer"}},
        }
    }
    assert rest_of(config_of("anthropic.claude-opus-4-1-20250805-v1:0", SCHEMA)) == {
        "tools": [{**tool, "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "answer"},
    }
    assert rest_of(config_of("mistral.mistral-large-2407-v1:0", SCHEMA)) == {
        "tools": [{"type": "function", "function": {**tool, "parameters": SCHEMA}}],
        "tool_choice": "any",
    }


TOOLS = [
    {"name": "open", "description": "Open it.", "input_schema": SCHEMA, "strict": True},
    {"name": "close", "input_schema": SCHEMA},
]


@pytest.mark.parametrize(
    ("model", "choice", "expected"),
    [
        (HAIKU, None, {"type": "auto"}),
        (HAIKU, "any", {"type": "any"}),
        (HAIKU, "close", {"type": "tool", "name": "close"}),
        (NOVA, "auto", {"auto": {}}),
        (NOVA, "any", {"any": {}}),
        (NOVA, "open", {"tool": {"name": "open"}}),
        ("qwen.qwen3-32b-v1:0", "auto", "auto"),
        ("qwen.qwen3-32b-v1:0", "any", "required"),
        ("qwen.qwen3-32b-v1:0", "open", {"type": "function", "function": {"name": "open"}}),
        ("mistral.ministral-3-8b-instruct", "any", "any"),
    ],
)
def test_tools_have_the_form_of_each_api(model: str, choice: str | None, expected: Any) -> None:
    """Name, description, schema and `strict`, and the choice."""
    request = {"tools": TOOLS} | ({"tool_choice": choice} if choice else {})
    config = config_of(model, request=request)
    body = build_body(config)
    assert lint(config) == []
    body = body.get("toolConfig", body)
    assert body.get("toolChoice", body.get("tool_choice")) == expected
    tools = [tool.get("function") or tool.get("toolSpec") or tool for tool in body["tools"]]
    assert [(t["name"], t.get("description"), t.get("strict")) for t in tools] == [
        ("open", "Open it.", True),
        ("close", None, None),
    ]
    for tool in tools:
        schema = tool.get("input_schema") or tool.get("parameters") or tool["inputSchema"]["json"]
        assert schema == SCHEMA


# Config, message.
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"model": converse(NOVA), "schema": SCHEMA},
        "request.schema: amazon.nova-lite-v1:0 takes no schema through Converse",
    ),
    (
        {"model": converse(NOVA), "schema": "columns", "columns": COLUMNS},
        "leave out model.invocation to ask in the model's own way",
    ),
    (
        {"model": HAIKU, "schema": SCHEMA, "targets": [{"model_id": "anthropic.claude-opus-4-7"}]},
        "request.schema: anthropic.claude-opus-4-7 is not asked for a shape in the same way",
    ),
    (
        {"model": NOVA, "schema": SCHEMA, "request": {"tools": TOOLS[1:]}},
        "it needs a tool of its own, and request.tools has others; keep one",
    ),
    (
        {"model": "meta.llama3-3-70b-instruct-v1:0", "request": {"tools": TOOLS[1:]}},
        "request.tools: models of the family llama3 do not take it",
    ),
    (
        {
            "model": "mistral.ministral-3-8b-instruct",
            "request": {"tools": TOOLS[1:] + TOOLS[:1], "tool_choice": "open"},
        },
        "request.tool_choice: models of the family mistral_chat take auto or any",
    ),
    (
        {"model": converse("qwen.qwen3-32b-v1:0"), "request": {"tools": TOOLS[1:]}},
        "batch inference refuses tools in records of the Converse type",
    ),
    (
        {"model": HAIKU, "schema": "columns", "columns": "a map<string,int>"},
        "request.schema.properties.a.additionalProperties: must be false",
    ),
    (
        {"model": HAIKU, "schema": "columns", "columns": ", ".join(f"c{i} int" for i in range(17))},
        "request.schema: has 17 properties that may be of several types",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda v: str(v)[:60])
def test_what_cannot_be_asked_for_is_refused_before_anything_is_paid(
    options: dict[str, Any], message: str
) -> None:
    """If it is asked for. The check of the config says so, with the key."""
    config = config_of(**options)
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(config)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": HAIKU, "columns": "a map<string,int>"}, "it must be false: names that"),
        (
            {"model": HAIKU, "columns": ", ".join(f"c{i} int" for i in range(17))},
            "it has 17 properties that may be of several types",
        ),
        (
            {"model": HAIKU, "columns": COLUMNS, "fallback": {"model_id": "anthropic.claude-v2:1"}},
            "anthropic.claude-v2:1 is not asked for a shape in the same way",
        ),
        ({"model": NOVA, "columns": COLUMNS}, "set request.schema: columns to ask by a forced"),
        ({"model": converse(NOVA), "columns": COLUMNS}, "takes no schema through Converse"),
    ],
    ids=str,
)
def test_what_is_not_asked_for_by_default_is_left_out_with_a_line(
    options: dict[str, Any], reason: str
) -> None:
    """The body is the one without a schema, and nothing is refused."""
    config = config_of(**options)
    asked = asked_shape(config)
    assert asked.way is None
    assert reason in asked.line
    assert build_body(config) == family_of(config).build(
        config.request, bare_model_id(config.model.id)
    )
    check_config(config)


def test_a_fallback_whose_id_shows_no_model_gets_the_same_bodies() -> None:
    """A provisioned throughput is of the same model."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12"
    config = config_of(HAIKU, None, COLUMNS, fallback={"model_id": arn})
    assert asked_shape(config).way is not None


def test_a_schema_with_an_own_body_is_only_checked() -> None:
    """Nothing is put into the body."""
    body = {"messages": [{"role": "user", "content": [{"text": "{{ body }}"}]}]}
    values = config_values(model={"id": NOVA}, request={"body": body, "schema": SCHEMA})
    config = check_config(values)
    assert asked_shape(config).way is None
    assert asked_shape(config).schema == SCHEMA


def rows() -> list[tuple[str, str, str, str]]:
    return [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))  # type: ignore[misc]
        for line in DOC.split("## The ways of the models")[1].splitlines()
        if line.startswith("| `")
    ]


def test_the_ways_of_the_docs_are_those_of_the_code() -> None:
    """Each way of each family has its row, in the order of the code or by models."""
    listed = sorted({(family, way, by == "yes") for family, _, way, by in rows()})
    known = {(f.name, way.name, way.by_default) for f in FAMILIES for way in f.ways}
    # Of qwen and DeepSeek, every model is known to take it.
    known -= {("qwen", "response_format", False), ("deepseek_v3", "response_format", False)}
    known -= {("gpt_oss", "response_format", True)}
    assert listed == sorted(known)
    named = set(re.findall(r"`(\w+)`", DOC.split("## Tools")[1].split("take tools")[0]))
    takers = {f.name for f in FAMILIES if f.put_tools is not None and f.name != "converse"}
    assert named & {f.name for f in FAMILIES} == takers


@pytest.mark.parametrize("block", re.findall(r"```yaml example\n(.*?)```", DOC, re.DOTALL))
def test_the_examples_of_the_docs_are_right(block: str) -> None:
    """Each is a config, or a section of one, in which nothing is found; the line is as printed."""
    values = yaml.safe_load(block)
    config = check_config(values if "run_uri" in values else {**config_values(), **values})
    asked = asked_shape(config)
    if "results" in values:
        assert f"answers      {asked.line}\n" in DOC
    assert bare_model_id(config.model.id)
