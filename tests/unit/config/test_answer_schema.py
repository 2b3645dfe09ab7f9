"""A JSON Schema in a config, or in a file that it names: read once, checked with its key path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark.config import Config
from bedrock_spark.config.answer_schema import schema_validator
from bedrock_spark.config.load import parse_config
from bedrock_spark.config_file import load_config
from bedrock_spark.errors import ConfigError
from tests.unit.fakes import config_values

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}}


def values_of(schema: Any, **request: Any) -> dict[str, Any]:
    request = {"prompt": "{{ body }}", "max_tokens": 5, **request}
    return config_values(request={**request, "schema": schema})


def with_a(member: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": member}}


FAULTS: list[tuple[Any, str]] = [
    ({"type": "objet"}, "is no JSON Schema: type is not what the keyword type takes: array, boo"),
    (with_a({"type": 5}), "is no JSON Schema: properties.a.type is not what the keyword type"),
    (with_a({"minLength": -1}), "properties.a.minLength is not what the keyword minLength takes"),
    ({"type": "object", "properties": []}, "properties is not what the keyword properties takes"),
    (with_a({"$ref": "http://x.org/y"}), "refers to another document at properties.a.$ref"),
    (with_a({"$ref": "other.json"}), "refers to another document at properties.a.$ref"),
    (with_a({"$ref": "#/$defs/b"}), "cannot be used: Pointer '/$defs/b' does not exist"),
    (with_a({"type": "string", "pattern": "("}), "is a JSON Schema that cannot be used"),
    (with_a({"description": "{{ x }}"}), "has a placeholder at properties.a.description"),
    ({"type": "object", "properties": {"{% x": {}}}, "has a placeholder at properties.{% x"),
    ({"type": "array", "items": {}}, "must describe an object"),
    ({"type": "object"}, "must describe an object"),
    ({"type": "object", "properties": {1: {}}}, "has a key that is not text at properties"),
    ("shape", "must be a JSON Schema, the path of a .json file, columns (the columns of"),
    ("https://a.example/shape.json", "is neither a local file nor an object of S3"),
    ("missing.json", "cannot be read: missing.json: No such file or directory"),
    (True, "must not be true or false"),
    (5, "must be a JSON Schema, columns or none"),
]


@pytest.mark.parametrize(("schema", "message"), FAULTS, ids=lambda value: str(value)[:50])
def test_each_fault_is_one_problem_with_its_place(schema: Any, message: str) -> None:
    """Also in the schema of a tool, except for the words that only `request.schema` may be."""
    with pytest.raises(ConfigError) as caught:
        parse_config(values_of(schema))
    (problem,) = str(caught.value).splitlines()[1:]
    assert problem.startswith("  request.schema: ")
    assert message in problem
    if isinstance(schema, dict):
        tool = {"name": "t", "input_schema": schema}
        with pytest.raises(ConfigError) as caught:
            parse_config(values_of(None, tools=[tool]))
        assert f"request.tools[0].input_schema: {problem[18:]}" in str(caught.value)


def test_a_file_is_read_from_the_folder_of_the_config(tmp_path: Path) -> None:
    """The config holds its content, so a run folder does not depend on the file."""
    (tmp_path / "shape.json").write_text(json.dumps(SCHEMA))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values_of("shape.json")))
    config = load_config(path)
    assert config.request.answer_schema == SCHEMA
    assert Config.model_validate(config.model_dump(mode="json")) == config
    assert load_config(path, [f"request.schema={tmp_path / 'shape.json'}"]) == config
    assert load_config(path, ["request.schema=none"]).request.answer_schema is None


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "not a JSON object")])
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With its path, and without its content."""
    (tmp_path / "shape.json").write_text(text)
    with pytest.raises(ConfigError, match=f"request.schema: .*{message}"):
        parse_config(values_of(str(tmp_path / "shape.json")))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"tools": [{"name": "a b", "input_schema": SCHEMA}]}, "must have 1 to 64 letters"),
        ({"tools": [{"name": "any", "input_schema": SCHEMA}]}, "is a word of request.tool_choice"),
        ({"tools": [{"name": "t", "input_schema": SCHEMA}] * 2}, "two have the same name"),
        ({"tools": [{"name": "t", "input_schema": SCHEMA}], "tool_choice": "u"}, "is no tool"),
        ({"tool_choice": "auto"}, "tool_choice goes with tools"),
        ({"tools": [{"name": "t"}]}, "request.tools[0].input_schema: is required"),
        ({"schema": "columns"}, "request.schema: columns needs results.parse.columns"),
    ],
)
def test_tools_and_columns_that_do_not_fit_are_refused(
    request_: dict[str, Any], message: str
) -> None:
    """Each with its key."""
    values = config_values(request={"prompt": "{{ body }}", "max_tokens": 5, **request_})
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    assert message in str(caught.value)


@pytest.mark.parametrize(("columns", "missing"), [("a date", None), ("a date, b int", "b")])
def test_every_column_is_a_property_of_the_schema(columns: str, missing: str | None) -> None:
    """Or it could never be filled."""
    values = {**values_of(SCHEMA), "results": {"parse": columns}}
    if missing is None:
        assert parse_config(values).results.parse is not None
        return
    with pytest.raises(ConfigError, match=f"request.schema has no property {missing}; add it"):
        parse_config(values)


@pytest.mark.parametrize("option", [{"tools": [{"name": "t", "input_schema": SCHEMA}]}, None])
def test_what_is_put_into_a_body_does_not_go_with_an_own_body(option: Any) -> None:
    """Tools, and the schema of columns. A JSON Schema does: answers are checked against it."""
    body = {"body": {"text": "{{ body }}"}}
    with pytest.raises(ConfigError, match="go with prompt; with body, write them into the body"):
        parse_config(config_values(request={**body, **(option or {"schema": "columns"})}))
    config = parse_config(config_values(request={**body, "schema": SCHEMA}))
    assert config.request.answer_schema == SCHEMA


def test_nothing_is_fetched_for_a_validator() -> None:
    """Not even for a reference that no check has seen."""
    with pytest.raises(ValueError, match="a schema is not fetched"):
        schema_validator({"$ref": "http://127.0.0.1:9/x"})
