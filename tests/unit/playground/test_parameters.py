"""The parameters of a form: those that a family takes, and the values of their fields."""

from __future__ import annotations

from typing import Any

import pytest

from bedrock_spark.config import RequestConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import FAMILIES, Family, family_by_name
from bedrock_spark.playground.parameters import Parameter, option_of, parameters_of
from tests.unit.starter.test_from_request import MODELS

ASKED = [family for family in FAMILIES if family.name != "raw"]
# A text that a person may write into each field.
WRITTEN = {
    "system": "Be brief",
    "max_tokens": "50",
    "temperature": "0.5",
    "top_p": "0.9",
    "top_k": "40",
    "stop": "END",
    "tools": '[{"name": "look", "input_schema": {"type": "object", "properties": {}}}]',
    "width": "512",
    "height": "512",
    "seed": "7",
    "negative_prompt": "people",
    "dimensions": "256",
}


def named(family: str, model_id: str) -> dict[str, Parameter]:
    return {p.name: p for p in parameters_of(family_by_name(family), model_id)}


@pytest.mark.parametrize("family", ASKED, ids=lambda family: family.name)
def test_a_family_takes_each_of_its_parameters(family: Family) -> None:
    """With every choice, and all at once but the one that excludes another."""
    model_id = MODELS[family.name].removeprefix("us.")
    parameters = parameters_of(family, model_id)
    for parameter in parameters:
        for text in parameter.choices or (WRITTEN[parameter.name],):
            options: dict[str, Any] = {parameter.name: option_of(parameter, text)}
            if family.read_chunk is not None:
                options = {"max_tokens": 5, **options}
            family.build(RequestConfig.model_validate({"prompt": "x", **options}), model_id)
    is_text = family.read_chunk is not None
    assert ("max_tokens" in {p.name for p in parameters}) == is_text


def test_a_form_has_no_field_that_the_model_refuses() -> None:
    assert set(named("titan_text", "amazon.titan-text-express-v1")) == {
        *("max_tokens", "temperature", "top_p", "stop")
    }
    assert set(named("amazon_images", "amazon.nova-canvas-v1:0")) == {
        *("width", "height", "seed", "negative_prompt")
    }
    assert "thinking" not in named("nova", "amazon.nova-lite-v1:0")
    assert named("nova", "amazon.nova-2-lite-v1:0")["thinking"].choices[-1] == "high"


def test_a_field_has_the_limits_of_the_model() -> None:
    nova = named("nova", "amazon.nova-micro-v1:0")
    assert (nova["temperature"].least, nova["temperature"].most) == (0, 1)
    assert (nova["max_tokens"].most, nova["max_tokens"].default) == (10_000, "1024")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", " a ", " a "),
        ("long", "a\r\nb", "a\nb"),
        ("whole", "7", 7),
        ("number", "0.5", 0.5),
        ("lines", "a\r\n\nb\n", ("a", "b")),
        ("json", "[1]", [1]),
        ("choice", "low", "low"),
        ("number", " ", None),
    ],
)
def test_the_value_of_a_field(kind: Any, text: str, value: Any) -> None:
    assert option_of(Parameter("x", "X", kind, ""), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("whole", "7.5", "Seed: is not a whole number"),
        ("number", "x", "Seed: is not a number"),
        ("json", "{", "Seed: is not valid JSON"),
    ],
)
def test_a_wrong_value_names_its_field(kind: Any, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        option_of(Parameter("seed", "Seed", kind, ""), text)
