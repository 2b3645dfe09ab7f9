"""From a config to a compiled body: the template, the columns, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.templates.body_template import RowRejected
from tests.unit.fakes import make_config


def template_of(request: dict[str, Any], **sections: Any) -> Any:
    return body_template(make_config(request=request, **sections))


def test_a_prompt_becomes_the_body_of_the_family() -> None:
    """The placeholders of the prompt and of the system prompt are filled in."""
    template = template_of({"prompt": "Q: {{ body }}", "system": "For {{ who }}", "max_tokens": 9})
    body = json.loads(template.render({"body": 'a "b"', "who": "all"}))
    assert body["messages"][0]["content"][0]["text"] == 'Q: a "b"'
    assert (body["system"], body["max_tokens"]) == ("For all", 9)
    assert set(template.columns) == {"body", "who"}


def test_a_body_of_the_user_is_not_changed() -> None:
    """The family does not matter."""
    template = template_of({"body": {"inputText": "{{ a }}", "n": "{{ b }}"}})
    assert json.loads(template.render({"a": "x", "b": 2})) == {"inputText": "x", "n": 2}


@pytest.mark.parametrize(
    "request_",
    [{"prompt": "Tell me a joke", "max_tokens": 5}, {"body": {"inputText": "x", "n": 1}}],
)
def test_a_request_without_a_placeholder_is_refused(request_: dict[str, Any]) -> None:
    """Every row would send and pay for the same request."""
    (option, *_) = request_
    with pytest.raises(
        ConfigError, match=rf"^request\.{option}: has no {{{{ column }}}} placehold"
    ):
        template_of(request_)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}', b'{"a":1}'),
        ('{\n  "a": [\n    1.10,\r\n\t2e5\n  ]\n}\n', b'{"a":[1.10,2e5]}'),
        ('{"a":"two\\nlines  and  spaces"}', b'{"a":"two\\nlines  and  spaces"}'),
        ('{"n":123456789012345678901234567890}', b'{"n":123456789012345678901234567890}'),
        ({"a": {"b": [1, None]}}, b'{"a":{"b":[1,null]}}'),
        ("{}", b"{}"),
    ],
)
def test_a_body_column_becomes_one_line(text: object, line: bytes) -> None:
    """White space between tokens is removed. Texts and all digits of numbers stay."""
    template = template_of({"body_column": "ask"})
    assert template.columns == ("ask",)
    assert template.render({"ask": text}) == line


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is null"),
        ("", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('"text"', "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("7", "is not a JSON object"),
        ('{"a": }', "is not a JSON object"),
        ('{"a": NaN}', "is not a JSON object"),
        ("{'a': 1}", "is not a JSON object"),
        ('{"a": 1} {"b": 2}', "is not a JSON object"),
        ('{"a": "half \ud83d"}', "is not a JSON object"),
        ('{"a":' + 20_000 * "[" + 20_000 * "]" + "}", "is not a JSON object"),
        (7, "is not a JSON object"),
        ({"a": [math.nan]}, "is not a finite number, which JSON cannot hold"),
        ({"a": object()}, "cannot be rendered (TypeError)"),
    ],
)
def test_a_body_column_without_an_object_rejects_the_row(value: object, reason: str) -> None:
    """A bad row becomes a rejected row and does not end the task."""
    with pytest.raises(RowRejected) as caught:
        template_of({"body_column": "ask"}).render({"ask": value})
    assert (caught.value.column, caught.value.reason) == ("ask", reason)


def test_a_missing_column_is_named_with_similar_names() -> None:
    """The check needs no data."""
    present = ["ticket_id", "subject", "body"]
    with pytest.raises(ConfigError) as caught:
        check_columns(["body", "subjct"], present, "request")
    assert str(caught.value) == (
        "request: the source has no column subjct; did you mean subject? "
        "it has ticket_id, subject, body"
    )
    with pytest.raises(ConfigError, match=r"no column zzz; it has ticket_id"):
        check_columns(["zzz"], present, "source.key")
    check_columns(["body", "subject"], present, "request")


def test_an_unknown_family_is_refused_before_any_data_is_read() -> None:
    """Also if the user writes the body, because the family reads the answers."""
    with pytest.raises(ConfigError, match=r"model.id = 'x': the id does not show its family"):
        template_of({"body": {"a": "{{ b }}"}}, model={"id": "x"})
