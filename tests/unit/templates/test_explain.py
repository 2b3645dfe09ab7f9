"""What is wrong with a template, and how a column with any name is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import check_columns
from bedrock_spark.templates.body_template import compile_template
from bedrock_spark.templates.explain import column_placeholder, template_problems


@pytest.mark.parametrize(
    ("template", "faults"),
    [
        ("{{ a }} {{ b.c | default('x') }} {% if d %}{{ e }}{% endif %}", []),
        ("Say {{ body }", ["a {{ or {% is not closed"]),
        ("{% if x }", ["a {{ or {% is not closed"]),
        ("{{ a | uppercase }}", ["No filter named 'uppercase'. Did you mean upper?"]),
        ("{{ a | jion(',') }}", ["No filter named 'jion'. Did you mean join?"]),
        ("{{ a | xyz | uper }}", ["'uper'. Did you mean upper?", "'xyz'."]),
        ("{% if a is odds %}{% endif %}", ["No test named 'odds'. Did you mean odd?"]),
        ("a\nb\n{{ c d }}", ['(line 3 of the text); the column c d is written {{ row["c d"] }}']),
        ("{{ Major Genre }}", ['; the column Major Genre is written {{ row["Major Genre"] }}']),
        ("{{ Major Genre | upper }}", ['{{ row["Major Genre"] }}']),
        ("{{ 2nd }}", ['{{ row["2nd"] }}']),
        ("{{ Preis-€ }}", ['{{ row["Preis-€"] }}']),
        ("{{ a b | default('x') }}", ['{{ row["a b"] }}']),
        (
            "{{ Price (EUR) }}",
            ["calls Price, but there are no functions, only filters; the column P"],
        ),
        ("{{ range(3) }}", ["calls range, but there are no functions"]),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(a) }}", []),
        ("{{ a if b }}", []),
        ("{{ a and }}", ["unexpected 'end of print statement'"]),
    ],
)
def test_every_fault_of_a_template_is_told(template: str, faults: list[str]) -> None:
    """With what to write, if that can be told."""
    found = template_problems(template)
    assert len(found) == len(faults)
    for fault, text in zip(faults, found, strict=True):
        assert fault in text


@given(st.text(min_size=1).filter(lambda name: "\x00" not in name), st.booleans())
def test_a_column_of_any_name_has_a_placeholder(name: str, in_expression: bool) -> None:
    """Spaces, dashes, quotes, braces, names of the language: all are read from the row."""
    if not name.isprintable() or not name.isascii():
        name = name.encode("ascii", "ignore").decode().replace("\\", "") or "x y"
        name = "".join(c for c in name if c.isprintable()) or "x y"
    placeholder = column_placeholder(name)
    text = placeholder.replace(" }}", " | upper }}") if in_expression else placeholder
    template = compile_template(f"is {text}")
    assert template.columns == (name,)
    assert json.loads(template.render({name: "Tea"})) == ("is TEA" if in_expression else "is Tea")


@pytest.mark.parametrize("name", ["not", "in", "is", "if", "else", "and", "or", "true", "None"])
def test_a_column_may_have_the_name_of_a_word_of_the_language(name: str) -> None:
    assert compile_template(f"is {column_placeholder(name)}").columns == (name,)


def test_a_column_in_brackets_may_be_mixed_with_others() -> None:
    """In loops, with fields and defaults, and twice."""
    template = compile_template(
        '{{ row["a b"].c[0] }}{% for x in row["d-e"] %}{{ x }}{{ row["a b"].c[1] }}{% endfor %}'
        "{{ f }}"
    )
    assert set(template.columns) == {"a b", "d-e", "f"}
    row = {"a b": {"c": [1, 2]}, "d-e": ["x", "y"], "f": "!"}
    assert json.loads(template.render(row)) == "1x2y2!"


def test_a_variable_called_row_is_the_templates_own() -> None:
    """A loop over rows means its own variable. A column called row is read by its name."""
    loop = compile_template('{% for row in rows %}{{ row["x"] }}{% endfor %}')
    assert loop.columns == ("rows",)
    assert json.loads(loop.render({"rows": [{"x": 1}, {"x": 2}]})) == "12"
    assert compile_template("{{ row }}").columns == ("row",)
    assert compile_template("{{ row.x }}").columns == ("row",)
    assert compile_template('{{ row["row"].x }}').columns == ("row",)


def test_a_missing_column_that_is_a_part_of_another_name_gets_the_way_to_write_it() -> None:
    """`body-text` is read as a difference of two columns."""
    with pytest.raises(ConfigError) as caught:
        check_columns(["body", "text"], ["id", "body-text"], "request")
    assert '(The column body-text is written {{ row["body-text"] }}.)' in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        check_columns(["body_text"], ["id", "body-text"], "source.key")
    assert "row[" not in str(caught.value)
