"""Body templates: data goes in as values, and comes out as JSON that says the same."""

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
    """Render a body and read it back."""
    line = compile_template(body).render(row)
    assert b"\n" not in line
    return json.loads(line)


def rejection(body: Any, **row: Any) -> RowRejected:
    with pytest.raises(RowRejected) as caught:
        compile_template(body).render(row)
    return caught.value


# Text that would do something if it were taken for a template, JSON or a line of its own.
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
def test_text_arrives_as_it_is(x: str, y: str) -> None:
    """Quotes, control characters, line ends and template text in the data are only data."""
    body = {"a": "{{ x }}", "b": ["<{{ x }}|{{ y }}>"], "c": "{{ x | trim | string }}!"}
    assert render(body, x=x, y=y) == {"a": x, "b": [f"<{x}|{y}>"], "c": f"{x.strip()}!"}


@given(TEXT)
def test_literal_text_arrives_as_it_is(text: str) -> None:
    """What is not a placeholder is not changed, keys included."""
    plain = text.replace("{{", "(").replace("{%", "(").replace("{#", "(").replace("\r", "")
    body = {plain: plain, "x": f"{plain} {{{{ x }}}}"}
    assert render(body, x="1") == {plain: plain, "x": f"{plain} 1"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


@given(JSON.filter(lambda value: value is not None))
def test_a_lone_placeholder_takes_the_values_own_type(value: Any) -> None:
    """Numbers, booleans, lists and structs stay what they are; nulls inside stay null."""
    assert render({"v": "{{ x }}"}, x=value) == {"v": value}


def _without_templates(value: Any) -> Any:
    text = json.dumps(value).replace("{{", "{ ").replace("{%", "{ ").replace("{#", "{ ")
    return json.loads(text.replace("\\r", ""))


@given(JSON)
def test_a_body_without_placeholders_is_itself(body: Any) -> None:
    """Any JSON value is a template of itself, on one line without spaces."""
    body = _without_templates(body)
    template = compile_template(body)
    line = template.render({})
    assert json.loads(line) == body
    assert template.columns == ()
    assert template.static_bytes == len(line)


def test_jinja_writes_values_as_the_fast_path_does() -> None:
    """Whether a template needs Jinja must not show in what it renders."""
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
    """Not Python's: no True, no 2026-01-02 03:04:05+00:00."""
    row = {
        "n": Decimal("1.10"),
        "flag": True,
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "lines": [{"n": 1}, {"n": 2.5}],
    }
    assert render(template, **row) == text


@pytest.mark.parametrize("name", ["items", "keys", "get", "count", "__class__"])
def test_a_field_comes_before_a_method_of_its_name(name: str) -> None:
    """`order.items` is a field of the order, in placeholders and in expressions."""
    assert render(f"{{{{ x.{name} }}}}", x={name: [1]}) == [1]
    assert render(f"{{{{ x.{name} | length }}}}", x={name: [1]}) == "1"


def test_an_unreadable_value_rejects_the_rows_that_need_its_column() -> None:
    """Whatever an expression would make of it; a row that does not look at it goes on."""
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
def test_the_language_is_jinjas(template: str, row: dict[str, Any], text: str) -> None:
    """Fields, indexes, filters, conditions, loops; nothing is escaped as HTML."""
    assert render(template, **row) == text


@pytest.mark.parametrize("name", ["default", "d"])
def test_a_default_stands_in_for_null(name: str) -> None:
    """Alone it has its own type; a struct that is null has null fields; "" and 0 are values."""
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
def test_a_row_that_cannot_be_rendered_says_which_column_and_why(
    template: str, row: dict[str, Any], column: str, reason: str
) -> None:
    """It becomes a rejected row with a reason, never an exception that ends the task."""
    found = rejection({"t": template}, **row)
    assert found.column == column
    assert found.reason.startswith(reason)
    assert SECRET not in str(found)


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
    """No way from a value to Python's own objects or to files; the row is rejected."""
    with pytest.raises((RowRejected, ConfigError)):
        compile_template(template).render({"x": "text", "self": "s"})


@pytest.mark.parametrize("name", ["range", "dict", "cycler", "joiner", "namespace", "lipsum"])
def test_jinjas_own_names_are_columns_like_any_other(name: str) -> None:
    """A misspelt column must not turn into a function of Jinja's."""
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
def test_the_columns_that_a_template_reads_are_found(body: Any, columns: tuple[str, ...]) -> None:
    """Each once; names that the template makes itself are none."""
    assert compile_template(body).columns == columns


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{{ x", "unexpected end of template"),
        ("{{ my column }}", "expected token 'end of print statement', got 'column'"),
        ("{{ x | no_such_filter }}", "No filter named 'no_such_filter'"),
        ("{% if x %}", "Unexpected end of template"),
        ("{{ }}", "Expected an expression"),
        ("{% no_such_tag %}", "unknown tag 'no_such_tag'"),
    ],
)
def test_an_invalid_template_is_an_error_of_the_config(template: str, fault: str) -> None:
    """It names the place in the body and the fault, without Jinja's file and line."""
    with pytest.raises(ConfigError) as caught:
        compile_template({"messages": [{"content": template}]})
    said = str(caught.value)
    assert said.startswith("request.body.messages[0].content: is not a valid template: ")
    assert fault.lower() in said.lower()
    assert "<" not in said
    assert "line" not in said


@pytest.mark.parametrize(
    ("value", "why"), [(math.nan, "is not a finite number"), (object(), "cannot be rendered")]
)
def test_a_body_that_json_cannot_hold_is_an_error_of_the_config(value: Any, why: str) -> None:
    """And not of every row."""
    with pytest.raises(ConfigError, match=rf"^request.body.a\[1\].b: {why}"):
        compile_template({"a": [1, {"b": value}]})


def test_the_static_bytes_are_those_that_every_row_has() -> None:
    """They are counted once when the size of a source is estimated."""
    template = compile_template({"a": "x{{ n }}y", "b": [1, None, "é"]})
    line = template.render({"n": "12345"})
    assert template.static_bytes == len(line) - len("12345")
