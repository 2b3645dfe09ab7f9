"""Rows that are not what they seem, in batches of Arrow: found by whole columns, with a reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.spark.prepare.damage import (
    KEY_NOT_UTF8,
    NO_KEY,
    NOT_DECODED,
    NOT_PARSED,
    damaged_rows,
)
from bedrock_spark.spark.prepare.source import choose_columns
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.templates.body_template import BodyTemplate


def text_of(values: list[bytes | None]) -> pa.Array:
    """Return a column of texts that may hold any bytes, as the JVM's texts may."""
    binary = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(
        len(values), binary.buffers()[1], binary.buffers()[2], binary.buffers()[0]
    )


def found(columns: SourceColumns, **values: pa.Array) -> dict[int, tuple[str, str]]:
    batch = pa.RecordBatch.from_pydict(values)
    return {r: (d.column, d.reason) for r, d in damaged_rows(batch, columns).items()}


KEYS = SourceColumns(("a", "b"), ("a", "b"), ())
BYTES = st.one_of(st.none(), st.binary(max_size=3), st.text(max_size=3).map(str.encode))


@given(st.lists(st.tuples(BYTES, st.one_of(st.none(), st.integers(0, 9))), min_size=1))
def test_a_row_without_a_usable_key_is_damaged_and_no_other(rows: list[Any]) -> None:
    """A key of nulls only is no key; a null beside a value is one. A text must be UTF-8."""

    def reason(a: bytes | None, b: int | None) -> tuple[str, str] | None:
        if a is None and b is None:
            return "a, b", NO_KEY
        try:
            (a or b"").decode()
        except UnicodeDecodeError:
            return "a", KEY_NOT_UTF8
        return None

    expected = {i: why for i, row in enumerate(rows) if (why := reason(*row))}
    numbers = pa.array([b for _, b in rows], pa.int64())
    assert found(KEYS, a=text_of([a for a, _ in rows]), b=numbers) == expected


def test_the_cause_of_a_null_key_is_the_reason() -> None:
    """A line that Spark could not parse has no key either."""
    columns = SourceColumns(("a",), ("a",), (), corrupt="_corrupt_record")
    bad = pa.array([None, "{", None], pa.string())
    assert found(columns, a=text_of([b"x", None, None]), _corrupt_record=bad) == {
        1: ("_corrupt_record", NOT_PARSED),
        2: ("a", NO_KEY),
    }


def test_replaced_characters_are_damage_only_where_spark_decoded() -> None:
    """Elsewhere U+FFFD is a character like any other."""
    values = {"a": pa.array([1, 2, 3]), "t": text_of([b"ok", "caf\ufffd".encode(), None])}
    kept = SourceColumns(("a",), ("a", "t"), ("t",))
    assert found(kept, **values) == {}
    decoded = SourceColumns(("a",), ("a", "t"), ("t",), decoded=("t", "a"))
    assert found(decoded, **values) == {1: ("t", NOT_DECODED)}


def chosen(names: list[str], rendered: str = "body", **source: Any) -> SourceColumns:
    schema = T.StructType([T.StructField(name, T.StringType()) for name in names])
    df: Any = SimpleNamespace(columns=names, schema=schema)
    template = BodyTemplate(columns=(rendered,), static_bytes=0, parts=())
    return choose_columns(df, SourceConfig(**source), template)


@pytest.mark.parametrize(
    ("source", "decoded"),
    [
        ({"format": "csv"}, ("body",)),
        ({"format": "CSV", "options": {"header": "true"}}, ("body",)),
        ({"format": "xml"}, ("body",)),
        ({"format": "csv", "options": {"Encoding": "UTF-8"}}, ()),
        ({"format": "csv", "options": {"charset": "ISO-8859-1"}}, ()),
        ({"format": "json"}, ()),
        ({"format": "parquet"}, ()),
    ],
)
def test_replaced_characters_are_looked_for_in_formats_that_spark_decodes(
    source: dict[str, Any], decoded: tuple[str, ...]
) -> None:
    """Unless the config names the encoding: then the character is the file's own."""
    assert chosen(["id", "body"], key=["id"], path="x", **source).decoded == decoded


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "_corrupt_record"), ({"columnNameOfCorruptRecord": "bad"}, "bad")],
)
def test_the_column_of_unparsed_records_is_read_but_not_kept(
    options: dict[str, str], name: str
) -> None:
    """Unless the config keeps it, or all columns."""
    source = {"format": "json", "path": "x", "options": options, "columns": ["id"]}
    columns = chosen(["id", "body", name], **source)
    assert (columns.corrupt, columns.kept) == (name, ("id",))
    assert columns.needed == ("id", "body", name)
    assert chosen(["id", "body"], **source).corrupt is None


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ({"format": "json"}, r"set source\.options: \{multiLine: true\}$"),
        ({"format": "json", "options": {"multiline": "true"}}, r"column _corrupt_record\.$"),
        ({"format": "csv"}, r"column _corrupt_record\.$"),
    ],
)
def test_a_source_of_unparsed_records_only_is_named_as_such(
    source: dict[str, Any], hint: str
) -> None:
    """A JSON array over several lines has no other column, and the option that reads it is said."""
    with pytest.raises(ConfigError, match=rf"no column id, and Spark could not parse.*{hint}"):
        chosen(["_corrupt_record"], key=["id"], path="x", **source)
