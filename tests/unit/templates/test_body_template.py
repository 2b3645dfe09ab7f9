"""Body templates: data goes in as values and comes out as JSON with the same values."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import ConfigError
from bedrock_spark.templates.body_template import RowRejected, compile_template
from bedrock_spark.templates.json_values import Unreadable

SECRET = "4711-secret"


def render(body: Any, **row: Any) -> Any:
    """Render a body and decode it."""
    line = compile_template(body).render(row)
    assert b"\n" not in line
    return json.loads(line)


def rejection(body: Any, **row: Any) -> RowRejected:
    with pytest.raises(RowRejected) as caught:
        compile_template(body).render(row)
    return caught.value


# Texts with an effect if they were read as a template, as JSON or as a new line.
TEXT = st.text() | st.sampled_from(
    [
        "{{ x }}",
        "{% for i in x %}",
        "{{ 7 * 7 }}",
        "{# no #}",
        '"}]}',
        "\\",
        "\n\r\u2028\u2029\u0085",
        "\x00\x1b\x7f",
        "</s>",
        "\U0001f600é日本",
    ]
)


@given(TEXT, TEXT)
def test_text_is_not_changed(x: str, y: str) -> None:
    """Quotes, control characters, line ends and template text in the data have no effect."""
    body = {"a": "{{ x }}", "b": ["<{{ x }}|{{ y }}>"], "c": "{{ x | trim | string }}!"}
    assert render(body, x=x, y=y) == {"a": x, "b": [f"<{x}|{y}>"], "c": f"{x.strip()}!"}


@given(TEXT)
def test_literal_text_is_not_changed(text: str) -> None:
    """Only placeholders are replaced. Keys are not changed either."""
    plain = text.replace("{{", "(").replace("{%", "(").replace("{#", "(").replace("\r", "")
    body = {plain: plain, "x": f"{plain} {{{{ x }}}}"}
    assert render(body, x="1") == {plain: plain, "x": f"{plain} 1"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON.filter(lambda value: value is not None))
def test_a_single_placeholder_keeps_the_type_of_the_value(value: Any) -> None:
    """Numbers, booleans, lists and structs keep their type. Nulls inside them stay null."""
    assert render({"v": "{{ x }}"}, x=value) == {"v": value}


def _without_templates(value: Any) -> Any:
    text = json.dumps(value).replace("{{", "{ ").replace("{%", "{ ").replace("{#", "{ ")
    return json.loads(text.replace("\\r", ""))


@given(JSON)
def test_a_body_without_placeholders_is_itself(body: Any) -> None:
    """Any JSON value renders to itself, on one line without spaces."""
    body = _without_templates(body)
    template = compile_template(body)
    line = template.render({})
    assert json.loads(line) == body
    assert template.columns == ()
    assert template.static_bytes == len(line)


def test_jinja_and_the_fast_path_write_the_same_values() -> None:
    """The result must not depend on whether a template needs Jinja."""
    row = {"flag": True, "when": dt.date(2026, 1, 2), "list": [1, None], "raw": b"x", "n": 1e16}
    plain = "{{ flag }} {{ when }} {{ list }} {{ raw }} {{ n }} {{ when.year }} {{ list[0] }}"
    through_jinja = plain + "{{ '' ~ '' }}"
    assert render(plain, **row) == render(through_jinja, **row)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ n | string }}", "1.10"),
        ("{{ flag | string | upper }}", "TRUE"),
        ("{{ [when, flag, n] | join('; ') }}", "2026-01-02T03:04:05Z; true; 1.10"),
        ("{{ lines | join(', ', attribute='n') }}", "1, 2.5"),
        ("{{ lines | tojson }}", '[{"n":1},{"n":2.5}]'),
        ("{{ n * 2 }}", "2.20"),
        ("{{ when.strftime('%d.%m.%y') }}", "02.01.26"),
        ("{{ lines | map(attribute='n') | max }}", "2.5"),
    ],
)
def test_values_keep_their_text_form_through_expressions(template: str, text: str) -> None:
    """It is not Python's form: no True, no 2026-01-02 03:04:05+00:00."""
    row = {
        "n": Decimal("1.10"),
        "flag": True,
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "lines": [{"n": 1}, {"n": 2.5}],
    }
    assert render(template, **row) == text


@pytest.mark.parametrize("name", ["items", "keys", "get", "count", "__class__"])
def test_a_field_comes_before_a_method_of_the_same_name(name: str) -> None:
    """`order.items` is a field of the order, in placeholders and in expressions."""
    assert render(f"{{{{ x.{name} }}}}", x={name: [1]}) == [1]
    assert render(f"{{{{ x.{name} | length }}}}", x={name: [1]}) == "1"


def test_an_unreadable_value_rejects_a_row_whose_template_reads_the_column() -> None:
    """In any expression. A template that does not read the column is not affected."""
    template = compile_template("{{ 'same' if x == 'a' else 'other' }}")
    assert template.render({"x": "b"}) == b'"other"'
    with pytest.raises(RowRejected, match=r"^x: is not valid UTF-8 text$"):
        template.render({"x": Unreadable("is not valid UTF-8 text")})
    assert compile_template("{{ y }}").render({"x": Unreadable("bad"), "y": 1}) == b"1"


@pytest.mark.parametrize(
    ("template", "row", "text"),
    [
        ("{{ a.b.c }}!", {"a": {"b": {"c": "deep"}}}, "deep!"),
        ("{{ a['b c'] }}!", {"a": {"b c": "odd"}}, "odd!"),
        ("{{ tags[0] }}!", {"tags": ["first"]}, "first!"),
        ("{{ name[0] }}.", {"name": "Ann"}, "A."),
        ("{{ tags[-1] }}!", {"tags": ["first", "last"]}, "last!"),
        ("{{ when.year }}!", {"when": dt.date(2026, 11, 5)}, "2026!"),
        ("{{ tags | join(', ') }}", {"tags": ["a", "b"]}, "a, b"),
        ("{{ x | upper }}", {"x": "é"}, "É"),
        ("{{ x | truncate(3, true, '', 0) }}", {"x": "abcdef"}, "abc"),
        ("{% if x > 2 %}big{% else %}small{% endif %}", {"x": 3}, "big"),
        ("{% for t in tags %}[{{ t }}]{% endfor %}", {"tags": ["{{ x }}", '"']}, '[{{ x }}]["]'),
        ("a{# a remark #}b{{ x }}", {"x": 1}, "ab1"),
        ("{% raw %}{{ x }}{% endraw %}{{ x }}", {"x": 1}, "{{ x }}1"),
        ("{{ x }}\n", {"x": "the last newline stays"}, "the last newline stays\n"),
        ("<b>{{ x }}</b>", {"x": "<&>"}, "<b><&></b>"),
    ],
)
def test_the_language_is_jinja(template: str, row: dict[str, Any], text: str) -> None:
    """Fields, indexes, filters, conditions and loops work. Nothing is escaped as HTML."""
    assert render(template, **row) == text


@pytest.mark.parametrize("name", ["default", "d"])
def test_a_default_replaces_a_null(name: str) -> None:
    """A single default keeps its type, a null struct has null fields, "" and 0 are values."""
    assert render(f"{{{{ x | {name}('none') }}}}", x=None) == "none"
    assert render(f"<{{{{ x | {name}('none') }}}}>", x=None) == "<none>"
    assert render(f"<{{{{ x | {name}('none') }}}}>", x="") == "<>"
    assert render(f"{{{{ x | {name}(7) }}}}", x=None) == 7
    assert render(f"{{{{ x | {name}(7) }}}}", x=0) == 0
    assert render(f"{{{{ s.a | {name}('none') }}}}", s=None) == "none"
    assert render(f"<{{{{ x | {name}('none') | upper }}}}>", x=None) == "<NONE>"
    assert render(f"{{{{ x | {name}(none) }}}}", x=None) is None
    assert render(f"{{{{ x | {name}('a') | {name}('b') }}}}", x=None) == "a"
    assert render(f"{{{{ s[3] | {name}(7) }}}}", s=[]) == 7


@pytest.mark.parametrize(
    ("template", "row", "column", "reason"),
    [
        ("{{ x }}", {"x": None}, "x", "is null"),
        ("<{{ x }}>", {"x": None}, "x", "is null"),
        ("{{ x }}{{ '' ~ '' }}", {"x": None}, "x", "is null"),
        ("<{{ x | default(none) }}>", {"x": None}, "x", "is null"),
        ("{{ a.b }}", {"a": None}, "a.b", "is null"),
        ("{{ a.b }}", {"a": {"b": None}}, "a.b", "is null"),
        ("{{ a.b.c }}", {"a": {"b": {}}}, "a.b", "has no field c"),
        ("{{ a.b }}", {"a": "text"}, "a", "has no field b"),
        ("{{ a.b }}", {"a": dt.date(2026, 1, 1)}, "a", "has no field b"),
        ("{{ a.b[1] }}", {"a": {"b": ["only"]}}, "a.b", "has no element 1"),
        ("{{ a[0] }}", {"a": {"0": "text"}}, "a", "has no element 0"),
        ("{{ x }}", {"x": math.nan}, "x", "is not a finite number, which JSON cannot hold"),
        ("<{{ x }}>", {"x": -math.inf}, "x", "is not a finite number, which JSON cannot hold"),
        (
            "{{ x }}",
            {"x": [{"a": math.nan}]},
            "x",
            "is not a finite number, which JSON cannot hold",
        ),
        ("<{{ x }}>", {"x": {"a": [math.inf]}}, "x", "is not a finite number"),
        ("{{ x | upper }}{{ y }}", {"x": "a", "y": None}, "x, y", "is null"),
        ("{{ x + y }}", {"x": SECRET, "y": 1}, "x, y", "cannot be rendered (TypeError)"),
        ("{{ x[SECRET] }}", {"x": {}, "SECRET": "k"}, "SECRET, x", "cannot be rendered"),
        ("{{ 1 / x }}", {"x": 0}, "x", "cannot be rendered (ZeroDivisionError)"),
        ("{{ x }}", {"x": "half \ud83d"}, "x", "is not valid UTF-8 text"),
        ("<{{ x }}>", {"x": "half \ud83d"}, "x", "is not valid UTF-8 text"),
        ("{{ x | upper }}", {"x": "half \ud83d"}, "x", "is not valid UTF-8 text"),
        ("{{ x }}", {"x": object()}, "x", "cannot be rendered (TypeError)"),
    ],
)
def test_a_rejected_row_names_the_column_and_the_reason(
    template: str, row: dict[str, Any], column: str, reason: str
) -> None:
    """A row that cannot be rendered raises RowRejected and no error that ends the task."""
    rejected = rejection({"t": template}, **row)
    assert rejected.column == column
    assert rejected.reason.startswith(reason)
    assert SECRET not in str(rejected)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ x | attr('__class__') }}",
        "{{ ''.__class__.__mro__ }}{{ x }}",
        "{{ x.__class__.__mro__[-1].__subclasses__() }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ x.format.__globals__ }}",
        "{{ self.__init__ }}{{ x }}",
        "{{ [].append(1) }}{{ x }}",
        "{% include '/etc/passwd' %}{{ x }}",
        "{% import 'os' as os %}{{ x }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(template: str) -> None:
    """It cannot reach Python's own objects or files: the row or the config is refused."""
    with pytest.raises((RowRejected, ConfigError)):
        compile_template(template).render({"x": "text", "self": "s"})


@pytest.mark.parametrize("name", ["range", "dict", "cycler", "joiner", "namespace", "lipsum"])
def test_names_of_jinja_are_ordinary_columns(name: str) -> None:
    """A misspelt column must not become one of Jinja's functions."""
    assert compile_template(f"{{{{ {name} }}}}").columns == (name,)
    assert compile_template(f"{{{{ {name} | upper }}}}").columns == (name,)


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("{{ a }}{{ b.c }}{{ a }}", ("a", "b")),
        ({"x": ["{{ b }}", {"y": "{{ a | upper }}"}]}, ("b", "a")),
        ("{% for t in tags %}{{ t }}{{ sep }}{% endfor %}", ("sep", "tags")),
        ("{% set t = a %}{{ t }}", ("a",)),
        ("{{ a | default(b) }}", ("a", "b")),
        ({"{{ not_a_key }}": 1}, ()),
        ("no placeholder", ()),
        ("{{ 'text' }}", ()),
    ],
)
def test_the_columns_of_a_template_are_found(body: Any, columns: tuple[str, ...]) -> None:
    """Each once. Names that the template itself defines are not columns."""
    assert compile_template(body).columns == columns


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{ x", "a {{ or {% is not closed"),
        ("{{ my column }}", "expected token 'end of print statement', got 'column'"),
        ("{{ x | no_such_filter }}", "No filter named 'no_such_filter'"),
        ("{% if x %}", "Unexpected end of template"),
        ("{{ }}", "Expected an expression"),
        ("{% no_such_tag %}", "unknown tag 'no_such_tag'"),
    ],
)
def test_an_invalid_template_is_an_error_of_the_config(template: str, fault: str) -> None:
    """The message names the key path and the fault, without Jinja's file and line."""
    with pytest.raises(ConfigError) as caught:
        compile_template({"messages": [{"content": template}]})
    message = str(caught.value)
    assert message.startswith("request.body.messages[0].content: is not a valid template: ")
    assert fault.lower() in message.lower()
    assert "<" not in message
    assert "line" not in message


@pytest.mark.parametrize(
    ("value", "reason"), [(math.nan, "is not a finite number"), (object(), "cannot be rendered")]
)
def test_a_body_that_json_cannot_hold_is_an_error_of_the_config(value: Any, reason: str) -> None:
    """It is found when the template is compiled, not in every row."""
    with pytest.raises(ConfigError, match=rf"^request.body.a\[1\].b: {reason}"):
        compile_template({"a": [1, {"b": value}]})


def test_the_static_bytes_are_the_literal_part_of_every_body() -> None:
    """The estimate of a source's size uses them."""
    template = compile_template({"a": "x{{ n }}y", "b": [1, None, "é"]})
    line = template.render({"n": "12345"})
    assert template.static_bytes == len(line) - len("12345")
