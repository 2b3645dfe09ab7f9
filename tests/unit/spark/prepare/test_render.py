"""Lines that are rendered a column at a time are those that are rendered one by one."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.limits import MAX_BODY_BYTES
from bedrock_spark.spark.prepare import render
from bedrock_spark.spark.prepare.arrow_columns import escaped, flat_bytes, is_utf8, offsets_of
from bedrock_spark.spark.prepare.render import render_lines
from bedrock_spark.templates.body_template import BodyTemplate, compile_template

BODY = {
    "typed": "{{ text }}",
    "in": ["Say {{ text }}\nto {{ name | default('you') }}", "{{ number }}", "no. {{ number }}"],
    "flag": "{{ flag }}",
}
TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('"\\\n\t\x00\x1f\x7f/')))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.one_of(TEXTS, TEXTS, TEXTS, st.none()),
            "name": st.one_of(TEXTS, st.none()),
            "number": st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()),
            "flag": st.one_of(st.booleans(), st.none()),
        }
    ),
    max_size=12,
)
SCHEMA = pa.schema(
    [("text", pa.string()), ("name", pa.string()), ("number", pa.int64()), ("flag", pa.bool_())]
)


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def rendered(
    batch: pa.RecordBatch, template: BodyTemplate, most: int = 10**9
) -> tuple[list[bytes | None], dict[int, tuple[str, str]]]:
    ids = pa.array([f"{n:011d}" for n in range(batch.num_rows)], pa.string())
    lines, rejected = render_lines(ids, batch, template, most)
    return lines.to_pylist(), {n: (r.column, r.reason) for n, r in rejected.items()}


def one_by_one(monkey: pytest.MonkeyPatch, *args: Any) -> Any:
    with monkey.context() as patched:
        patched.setattr(render, "_render_at_once", lambda *_: None)
        return rendered(*args)


@given(ROWS, st.integers(0, 12), st.integers(100, 300))
def test_the_same_lines_and_rejections(rows: list[dict[str, Any]], start: int, most: int) -> None:
    """Whatever the texts hold, in a slice, with nulls, defaults and too long lines."""
    batch = batch_of(rows).slice(min(start, len(rows)))
    template = compile_template(BODY)
    assert template.holes is not None
    found = rendered(batch, template, most)
    assert found == one_by_one(pytest.MonkeyPatch(), batch, template, most)
    for line in found[0]:
        assert line is None or msgspec.json.decode(line)["recordId"].isdigit()


def test_large_texts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark hands columns over with large offsets where it is told so."""
    rows = batch_of([{"text": 'a"b', "name": "é\n", "number": 1, "flag": True}] * 3)
    large = rows.set_column(0, "text", rows.column(0).cast(pa.large_string()))
    template = compile_template(BODY)
    assert rendered(large, template) == rendered(rows, template)
    assert rendered(large, template) == one_by_one(monkeypatch, large, template)


def test_a_text_that_is_not_utf8_is_rejected_and_the_others_are_not() -> None:
    """The JVM takes any bytes for a text."""
    raw = pa.array([b"good", b"\xff\xfe", b"fine"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    assert not is_utf8(text)
    assert is_utf8(text.slice(2))
    lines, rejected = rendered(
        pa.RecordBatch.from_arrays([text], names=["text"]), compile_template({"a": "{{ text }}"})
    )
    assert [line is None for line in lines] == [False, True, False]
    assert rejected == {1: ("text", "is not valid UTF-8 text")}


def test_a_body_that_no_model_takes_is_rejected() -> None:
    """And said to be too large, not just too large for a shard."""
    rows = [{"text": "x" * MAX_BODY_BYTES}, {"text": "x"}]
    batch = pa.RecordBatch.from_pylist(rows, schema=pa.schema([("text", pa.string())]))
    lines, rejected = rendered(batch, compile_template({"a": "{{ text }}"}))
    assert lines[0] is None
    assert lines[1] is not None
    assert rejected[0][0] == "request"
    assert str(MAX_BODY_BYTES) in rejected[0][1]


@pytest.mark.parametrize("body", ["{{ a.b }}", "{{ a | upper }}", "{% if a %}x{% endif %}"])
def test_what_is_more_than_a_column_is_looked_at_row_by_row(body: str) -> None:
    """Fields, expressions and statements have no column's form."""
    assert compile_template({"a": body}).holes is None


def test_types_with_a_form_of_our_own_are_rendered_one_by_one() -> None:
    """Arrow writes floats, for one, in another way."""
    batch = pa.RecordBatch.from_arrays([pa.array([1.0, float("nan")])], names=["x"])
    lines, rejected = rendered(batch, compile_template({"x": "{{ x }}"}))
    assert lines[0] is not None
    assert b'{"x":1.0}' in lines[0]
    assert set(rejected) == {1}


@given(st.lists(TEXTS, max_size=8), st.integers(0, 8))
def test_escapes_are_those_of_json(texts: list[str], start: int) -> None:
    """Every character, in any slice of a column, nulls or none."""
    for more in ([], [None]):
        column = pa.array([*texts, *more], pa.string()).slice(start)
        wanted = [
            None if t is None else msgspec.json.encode(t)[1:-1].decode() for t in column.to_pylist()
        ]
        assert escaped(column).to_pylist() == wanted


def test_bytes_lie_one_after_the_other() -> None:
    """A slice's, too, and where there are none."""
    column = pa.array([b"ab", b"", b"cde", b"f"], pa.large_binary()).slice(1, 2)
    assert bytes(flat_bytes(column)) == b"cde"
    assert offsets_of(column).tolist() == [2, 2, 5]
    assert bytes(flat_bytes(column.slice(0, 0))) == b""
