"""Rendering column by column and rendering row by row give the same lines."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.limits import MAX_BODY_BYTES
from bedrock_spark.spark.prepare import render
from bedrock_spark.spark.prepare.arrow_columns import flat_bytes, offsets_of
from bedrock_spark.spark.prepare.render import render_lines
from bedrock_spark.spark.prepare.utf8 import is_utf8
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
    batch: pa.RecordBatch, template: BodyTemplate, max_bytes: int = 10**9
) -> tuple[list[bytes | None], dict[int, tuple[str, str]]]:
    ids = pa.array([f"{n:011d}" for n in range(batch.num_rows)], pa.string())
    lines, rejected = render_lines(ids, batch, template, max_bytes)
    return lines.to_pylist(), {n: (r.column, r.reason) for n, r in rejected.items()}


def row_by_row(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(render, "_render_columns", lambda *_: None)
        return rendered(*arguments)


@given(ROWS, st.integers(0, 12), st.integers(100, 300))
def test_both_ways_give_the_same_lines_and_rejections(
    rows: list[dict[str, Any]], start: int, max_bytes: int
) -> None:
    """For all texts, in a slice, with nulls, defaults and lines that are too long."""
    batch = batch_of(rows).slice(min(start, len(rows)))
    template = compile_template(BODY)
    assert template.holes is not None
    lines, rejected = rendered(batch, template, max_bytes)
    assert (lines, rejected) == row_by_row(pytest.MonkeyPatch(), batch, template, max_bytes)
    for line in lines:
        assert line is None or msgspec.json.decode(line)["recordId"].isdigit()


@given(ROWS, st.integers(0, 12))
def test_both_ways_refuse_the_same_texts(rows: list[dict[str, Any]], start: int) -> None:
    """Texts that are blank or too long, also together with what is around them."""
    batch = batch_of(rows).slice(min(start, len(rows)))
    checked = ["{{ text }}", " {{ text }}\n{{ text }}", "{{ number }} {{ text }}", "no {{ text }}"]
    template = compile_template({"a": checked}, checked=checked, max_characters=12)
    assert template.holes is not None
    assert rendered(batch, template) == row_by_row(pytest.MonkeyPatch(), batch, template)


def test_columns_with_large_offsets_give_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark passes columns with 64-bit offsets if its configuration says so."""
    rows = batch_of([{"text": 'a"b', "name": "é\n", "number": 1, "flag": True}] * 3)
    large = rows.set_column(0, "text", rows.column(0).cast(pa.large_string()))
    template = compile_template(BODY)
    assert rendered(large, template) == rendered(rows, template)
    assert rendered(large, template) == row_by_row(monkeypatch, large, template)


def test_a_text_that_is_not_utf8_is_rejected_and_the_others_are_not() -> None:
    """In the JVM, a text may hold any bytes."""
    raw = pa.array([b"good", b"\xff\xfe", b"fine"])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    assert not is_utf8(text)
    assert is_utf8(text.slice(2))
    lines, rejected = rendered(
        pa.RecordBatch.from_arrays([text], names=["text"]), compile_template({"a": "{{ text }}"})
    )
    assert [line is None for line in lines] == [False, True, False]
    assert rejected == {1: ("text", "is not valid UTF-8 text")}


def test_a_body_above_the_limit_of_all_models_is_rejected() -> None:
    """The reason names the limit of a body, not that of a shard."""
    rows = [{"text": "x" * MAX_BODY_BYTES}, {"text": "x"}]
    batch = pa.RecordBatch.from_pylist(rows, schema=pa.schema([("text", pa.string())]))
    lines, rejected = rendered(batch, compile_template({"a": "{{ text }}"}))
    assert lines[0] is None
    assert lines[1] is not None
    assert rejected[0][0] == "request"
    assert str(MAX_BODY_BYTES) in rejected[0][1]


@pytest.mark.parametrize("body", ["{{ a.b }}", "{{ a | upper }}", "{% if a %}x{% endif %}"])
def test_a_template_with_more_than_plain_columns_is_rendered_row_by_row(body: str) -> None:
    """Fields, expressions and statements cannot be rendered column by column."""
    assert compile_template({"a": body}).holes is None


def test_types_that_arrow_writes_otherwise_are_rendered_row_by_row() -> None:
    """Floats are an example: their text in Arrow is not their JSON form in templates."""
    batch = pa.RecordBatch.from_arrays([pa.array([1.0, float("nan")])], names=["x"])
    lines, rejected = rendered(batch, compile_template({"x": "{{ x }}"}))
    assert lines[0] is not None
    assert b'{"x":1.0}' in lines[0]
    assert set(rejected) == {1}


def test_flat_bytes_are_those_of_the_slice() -> None:
    """The bytes of its values, one after the other; none for a slice without values."""
    column = pa.array([b"ab", b"", b"cde", b"f"], pa.large_binary()).slice(1, 2)
    assert bytes(flat_bytes(column)) == b"cde"
    assert offsets_of(column).tolist() == [2, 2, 5]
    assert bytes(flat_bytes(column.slice(0, 0))) == b""
