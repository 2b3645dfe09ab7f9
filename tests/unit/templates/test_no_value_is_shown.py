"""No reason of a rejected row, and no exception, shows a value of the row."""

from __future__ import annotations

import datetime as dt
import itertools
import traceback
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.families.request_body import body_template
from bedrock_spark.templates.body_template import BodyTemplate, RowRejected, compile_template
from bedrock_spark.templates.json_values import Struct, Unrenderable
from tests.unit.fakes import make_config

MARK = "mark4711"
# Numbers and bytes are marked, too: their text holds these digits.
DIGITS = "4711"

TEXTS = st.sampled_from(
    [
        MARK,
        f"{MARK}.{MARK}",
        f"s3://{MARK}/{MARK}",
        f"s3://{MARK}",
        f"%{MARK}s {{0.{MARK}}}",
        f"{MARK} \ud800",
        f"__class__{MARK}",
        f'{{"{MARK}": ',
    ]
)
SCALARS = st.one_of(
    TEXTS,
    st.sampled_from(
        [4711, -4711, 4711.5, Decimal("4711.1"), 4711e300, MARK.encode(), True, None, object()]
    ),
    st.sampled_from([float("nan"), float("inf"), dt.date(4711, 1, 1), dt.timedelta(4711)]),
)
VALUES = st.recursive(
    SCALARS,
    lambda items: st.one_of(
        st.lists(items, max_size=3),
        st.dictionaries(TEXTS, items, max_size=3),
        st.dictionaries(TEXTS, items, max_size=3).map(Struct),
    ),
    max_leaves=5,
)
# Expressions that fail for some values of a and b, each in its own part of Jinja or of ours.
EXPRESSIONS = [
    *("a", "a.x", "a[0]", "a['x'].y[3]", "a.x | default('d')"),
    *("a[b]", "a[b].x", "a[b][a]", "a.x[b]", "a | attr(b)", "(a | first)[b]", "a[b:]", "a[::b]"),
    *("a()", "a(b)", "a.x()", "a.format(b)", "b.format(a)", "a % b", "b % a", "a | format(b)"),
    *("a + b", "a - b", "a * b", "a / b", "a // b", "a ** b", "-a", "a ~ b", "a < b", "a in b"),
    *("a | int(base=b)", "a | float", "a | round(b)", "a | abs", "a | length", "a | first"),
    *("a | last", "a | min", "a | max", "a | sum", "a | sort | join", "a | unique | join"),
    *("a | join(b)", "a | join(attribute=b)", "a | map(attribute=b) | join", "a | map(b) | join"),
    *("a | select(b) | join", "a | selectattr(b) | join", "a | selectattr('x', b) | join"),
    *("a | groupby(b) | join", "a | sort(attribute=b) | join", "a | sum(attribute=b)"),
    *("a | batch(b) | join", "a | slice(b) | join", "a | dictsort | join", "a | dictsort(b, b)"),
    *("a | items | join", "a | list", "a | tojson", "a | string", "a | upper | replace(b, a)"),
    *(
        "a | base64",
        "a | media_type",
        "b | base64",
        "a | xmlattr",
        "a | urlencode",
        "a | wordwrap(b)",
    ),
    *("a | truncate(b)", "a | center(b)", "a | indent(b)", "a | filesizeformat", "a | urlize(b)"),
    *(
        "a | reverse",
        "a | random",
        "a | trim(b)",
        "a | striptags",
        "a | pprint",
        "a is divisibleby(b)",
    ),
    *("a is filter", "a is sameas b", "a.x is defined", "a.__class__", "a['__class__']"),
]
TEMPLATES = [f"{{{{ {expression} }}}}" for expression in EXPRESSIONS]
TEMPLATES += [f"text {template}" for template in TEMPLATES]
TEMPLATES += [
    "{% for x in a %}{{ x[b] }}{{ loop.cycle(b) }}{% endfor %}",
    "{% for x, y in a %}{{ x }}{% endfor %}{{ b }}",
    "{% for x in a recursive %}{{ loop(x) }}{% endfor %}{{ b }}",
    "{% set ns = a %}{% set ns.x = b %}{{ ns.x }}",
    "{% include a %}{{ b }}",
    "{% import a as m %}{{ m[b] }}",
    "{% extends a %}{{ b }}",
    "{% filter upper %}{{ a[b] }}{% endfilter %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(a, b) }}{{ m(**a) }}{{ m(*b) }}",
]


def missing(uri: str) -> bytes:
    raise Unrenderable("names an S3 object that is not there (NoSuchKey)")


def empty(uri: str) -> bytes:
    return b""


COMPILED = [
    compile_template({"t": template}, fetch=fetch)
    for template, fetch in itertools.product(TEMPLATES, (missing, empty))
]
COMPILED += [
    body_template(make_config(request=request), missing)
    for request in (
        {"body_column": "a"},
        {"prompt": "{{ b }}", "images": ["a"], "max_tokens": 1},
        {"prompt": "{{ b }}", "documents": ["a", "b"], "max_tokens": 1},
    )
]


def failure(template: BodyTemplate, row: dict[str, Any]) -> str:
    """Return all that an error shows: the column, the reason, and the chain of exceptions."""
    try:
        template.render(row)
    except RowRejected as exc:
        return f"{exc.column} {exc.reason} {exc} " + shown(exc)
    return ""


def shown(exc: BaseException) -> str:
    """Return the messages of an error and of its causes, as a traceback prints them."""
    lines = traceback.TracebackException.from_exception(exc, lookup_lines=False)
    return "".join(lines.format_exception_only()) + (shown(exc.__cause__) if exc.__cause__ else "")


@settings(max_examples=1000)
@given(template=st.sampled_from(COMPILED), a=VALUES, b=VALUES)
def test_no_error_of_a_template_shows_a_value(template: BodyTemplate, a: Any, b: Any) -> None:
    """Whatever fails is a RowRejected, and shows neither value."""
    text = failure(template, {"a": a, "b": b})
    assert MARK not in text
    assert DIGITS not in text


def test_every_template_fails_without_showing_a_value() -> None:
    """With a few values of each kind. Most templates fail for some: else this proves nothing."""
    values = [MARK, 4711, [MARK], {MARK: MARK}, None, [[4711]]]
    failed = set()
    for i, template in enumerate(COMPILED):
        for a, b in itertools.product(values, values):
            text = failure(template, {"a": a, "b": b})
            assert MARK not in text
            assert DIGITS not in text
            failed |= {i} if text else set()
    assert len(failed) > 0.85 * len(COMPILED)


@pytest.mark.parametrize(
    ("template", "row", "reason"),
    [
        ("{{ a.x ~ '' }}", {"a": {}}, "cannot be rendered: has no field x"),
        ("{{ a[2] ~ '' }}", {"a": []}, "cannot be rendered: has no element 2"),
        ("{{ a['x y'] ~ '' }}", {"a": {}}, "cannot be rendered: has no field x y"),
        ("{{ a | map(attribute='x.0') | join }}", {"a": [{"x": []}]}, "… has no element 0"),
        (
            "{{ a[b] ~ '' }}",
            {"a": {}, "b": MARK},
            "… names a field or an element that is not there",
        ),
        ("{{ a | first }}", {"a": []}, "… names a field or an element that is not there"),
    ],
)
def test_a_name_from_the_template_is_shown(template: str, row: dict[str, Any], reason: str) -> None:
    """It is in the config, and it is what the user looks for."""
    with pytest.raises(RowRejected) as caught:
        compile_template(template).render(row)
    assert caught.value.reason == reason.replace("…", "cannot be rendered:")
