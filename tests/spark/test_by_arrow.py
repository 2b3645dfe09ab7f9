"""Rows of plain files that are read without Spark are those that Spark reads, or are refused."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.errors import PlanError
from bedrock_spark.families.request_body import body_template
from bedrock_spark.spark.by_arrow.file_rows import read_file_rows
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.spark.prepare.row_rendering import RenderRows, read_rendered
from bedrock_spark.spark.prepare.source import read_source
from tests.spark_sessions import make_config

AWS = AwsSettings("us-east-1")
ALL = RowChoice(1_000)
DOUBLED = {"escape": '"'}
BROKEN = {"escape": '"', "multiLine": "true"}
BOM = b"\xef\xbb\xbf"


def config_of(path: Path, prompt: str = "{{ body }}", **source: Any) -> Config:
    source = {"path": str(path), "key": [], **source}
    return make_config(
        "s3://bucket/runs/x", source=source, request={"prompt": prompt, "max_tokens": 9}
    )


def by_arrow(path: Path, **source: Any) -> list[dict[str, Any]] | None:
    """Return the rows as Arrow reads them; None if it leaves them to Spark."""
    try:
        rows: list[dict[str, Any]] = read_file_rows(
            config_of(path, **source), AWS, ALL
        ).batch.to_pylist()
    except NeedsSparkError:
        return None
    except PlanError:  # it has no rows
        return []
    return rows


# A file, its options, and whether Arrow may read it.
FILES: list[tuple[str, bytes, dict[str, str], bool]] = [
    ("bom.csv", BOM + b"id,body\n1,one\n", {}, True),
    ("bom-broken.csv", BOM + b"id,body\n1,one\n", BROKEN, True),
    ("crlf.csv", b"id,body\r\n1,one\r\n2,two\r\n", {}, True),
    ("crlf-broken.csv", b'id,body\r\n1,one\r\n2,"two\nlines"\r\n', BROKEN, True),
    ("blank.csv", b"\n\nid,body\n\n1,one\n\n", {}, True),
    ("tabs.csv", b"id\tbody\n1\ta, b\n", {"sep": "\t"}, True),
    ("words.csv", b"id,body\nnull,NA\n\\N,NaN\n".replace(b"\\", b""), {}, True),
    ("behind.csv", b'id,body\n1,"one"two\n', {}, False),
    ("behind-doubled.csv", b'id,body\n1,"one" \n', DOUBLED, False),
    ("twice.csv", b"id,body,body\n1,one,two\n", {}, False),
    ("case.csv", b"id,body,Body\n1,one,two\n", {}, False),
    ("nameless.csv", b"id,body,\n1,one,two\n", {}, False),
    ("backslash.csv", b"id,body\n1,one\\two\n", {}, False),
    ("short.csv", b"id,body,more\n1,one\n", {}, False),
    ("long.csv", b"id,body\n1,one,two\n", {}, False),
    ("white.csv", b"body\n  \none\n", {}, False),
    ("white-tabs.csv", b"id\tbody\n\t\n1\tone\n", {"sep": "\t"}, False),
    ("open.csv", b'id,body\n1,"one\n', BROKEN, False),
    ("comment.csv", b"id,body\n\x001,one\n", {}, False),
    ("latin.csv", b"id,body\n1,\xe9\n", {}, False),
    ("corrupt.csv", b"id,body,_corrupt_record\n1,one,two\n", {}, False),
    ("plain.json", b'{"id": 1, "body": "one"}\n{"id": null, "body": "\\u00e9"}\n', {}, True),
    ("bom.json", BOM + b'{"id": 1, "body": "one"}\n', {}, True),
    ("blank.json", b'\n  \n{"body": "one"}\r\n\n{"body": "two"}', {}, True),
    ("absent.json", b'{"body": "one"}\n{"id": 2, "body": "two", "x": [1, 2]}\n', {}, True),
    ("again.json", b'{"body": "one", "body": "two"}\n', {}, False),
    ("floats.json", b'{"body": "a", "x": 1}\n{"body": "b", "x": 2.5}\n', {}, True),
    ("nested.json", b'{"body": "a", "x": {"b": "c", "a": [true, null]}}\n', {}, True),
    ("mixed.json", b'{"body": "one"}\n{"body": 2}\n', {}, False),
    ("texts.json", b'{"body": "one", "x": 1}\n{"body": "two", "x": "2"}\n', {}, False),
    ("case.json", b'{"body": "one", "Body": "two"}\n', {}, False),
    ("corrupt.json", b'{"body": "one"}\n{"body": \n', {}, False),
    ("cr.json", b'{"body": "one",\r"x": 1}\n', {}, False),
    ("huge.json", b'{"body": "one", "x": 99999999999999999999}\n', {}, False),
]


def test_each_file_is_read_alike_or_refused(spark: SparkSession, tmp_path: Path) -> None:
    """In one job of Spark."""
    found = {}
    frames = []
    for name, content, options, is_read in FILES:
        path = tmp_path / name
        path.write_bytes(content)
        source = {"options": {**({"header": "true"} if name.endswith("csv") else {}), **options}}
        rows = by_arrow(path, **source)
        assert (rows is not None) == is_read, name
        if rows is not None:
            found[name] = rows
            frame = read_source(spark, config_of(path, **source).source)
            values = F.to_json(F.struct("*"), {"ignoreNullFields": "false"})
            frames.append(frame.select(F.lit(name).alias("name"), values.alias("row")))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionAll(frame)
    read: dict[str, list[Any]] = defaultdict(list)
    for name, row in whole.collect():
        read[name].append(json.loads(row))
    for name, rows in found.items():
        assert read[name] == rows, name


VALUES = [
    *("", "", "a", "a b", " a", "a ", '""', '"a"', '"a,b"', '"a""b"', '""""', '"""a"', '"a\\"b"'),
    *('"a"b', 'a"b', '"a" ', ' "a"', '"', "\\", "a\\", "\\N", '"a\nb"', '"a\r\nb"', '"\n"', "  "),
    *("\u00e9", "null", "'a'", "#c", "\x00a", '"a\\"', '"\\"'),
]


def random_csv(dice: random.Random) -> bytes:
    """Return a small file that may be odd in any way."""
    text = "id,body\n"
    end = dice.choice(["\n", "\n", "\n", "\r\n", "\r"])
    for number in range(dice.randrange(1, 4)):
        is_odd = dice.random() < 0.1
        values = [str(number)] if not is_odd else []
        while len(values) < (2 if not is_odd else dice.randrange(4)):
            values.append(dice.choice(VALUES))
        text += ",".join(values) + end
    return (text if dice.random() < 0.7 else text.rstrip("\r\n")).encode()


@pytest.mark.parametrize("options", [{}, DOUBLED, BROKEN], ids=["default", "doubled", "breaks"])
def test_odd_csv_is_read_alike_or_refused(
    spark: SparkSession, tmp_path: Path, options: dict[str, str]
) -> None:
    """Hundreds of files, which Spark reads as one folder."""
    dice = random.Random(11)
    source = {"format": "csv", "options": {"header": "true", **options}}
    found = {}
    for number in range(400):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(random_csv(dice))
        rows = by_arrow(path, **source)
        if rows is None:
            path.unlink()  # Spark may have it
        else:
            found[path.name] = rows
    assert len(found) > 80
    frame = read_source(spark, config_of(tmp_path, **source).source)
    read: dict[str, list[Any]] = defaultdict(list)
    for name, *row in frame.select(F.input_file_name(), "id", "body").collect():
        read[name.rpartition("/")[2]].append(dict(zip(("id", "body"), row, strict=True)))
    for name, rows in found.items():
        assert read[name] == rows, (tmp_path / name).read_bytes()


NOON = dt.datetime(2026, 11, 2, 12, 30, 0, 1000)
ROWS: dict[str, list[Any]] = {
    "body": ["one", None, ""],
    "kind": ["x", "y", None],
    "flag": [True, None, False],
    "small": [1, None, -128],
    "big": [2**63 - 1, -(2**63), None],
    "narrow": [0.1, float("nan"), None],
    "wide": [0.1, 1e300, None],
    "price": [Decimal("1.50"), None, Decimal("-0.01")],
    "exact": [Decimal(10) ** 37, None, Decimal("-0.00")],
    "day": [NOON.date(), None, dt.date(9999, 12, 31)],
    "at": [NOON, None, dt.datetime(1999, 1, 1)],
    "berlin": [NOON, None, NOON],
    "plain": [NOON, None, NOON],
    "millis": [NOON, None, NOON],
    "data": [b"\x00\xff", None, b""],
    "list": [["a", None], None, []],
    "map": [[("k", 1), ("l", None)], None, []],
    "days": [[("k", NOON.date())], None, []],
    "struct": [{"a": 1, "b": [{"c": NOON}]}, None, {"a": None, "b": None}],
}
KINDS = {
    "body": pa.string(),
    "kind": pa.dictionary(pa.int32(), pa.string()),
    "flag": pa.bool_(),
    "small": pa.int8(),
    "big": pa.int64(),
    "narrow": pa.float32(),
    "wide": pa.float64(),
    "price": pa.decimal128(5, 2),
    "exact": pa.decimal128(38, 0),
    "day": pa.date32(),
    "at": pa.timestamp("us", "UTC"),
    "berlin": pa.timestamp("us", "Europe/Berlin"),
    "plain": pa.timestamp("us"),
    "millis": pa.timestamp("ms", "UTC"),
    "data": pa.binary(),
    "list": pa.large_list(pa.string()),
    "map": pa.map_(pa.string(), pa.int32()),
    "days": pa.map_(pa.string(), pa.date32()),
    "struct": pa.struct(
        [("a", pa.int16()), ("b", pa.list_(pa.struct([("c", pa.timestamp("us", "UTC"))])))]
    ),
}


def test_each_type_of_parquet_is_rendered_alike(spark: SparkSession, tmp_path: Path) -> None:
    """As the row that a page shows, and in a prompt; written by Arrow and by Spark."""
    table = pa.table({name: pa.array(ROWS[name], kind) for name, kind in KINDS.items()})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path)
    config = config_of(path, "{{ body }} {{ wide }}")
    texts = " ".join(f"{{{{ {name} }}}}" for name in KINDS if name != "data")
    frame = spark.read.parquet(str(path))
    for asked in (config, config_of(path, texts)):
        found = read_file_rows(asked, AWS, ALL)
        # Straight from Spark to the task that renders, as in prepare.
        columns = replace(found.columns, rendered=body_template(asked).columns)
        task = RenderRows(asked, columns, AWS)
        made = frame.select(*columns.needed).mapInArrow(
            task, "line binary, reason string, row_values string"
        )
        read = read_rendered(made.collect())
        for own, other in zip(found.rendered(asked, is_checked=False), read, strict=True):
            bodies = [None if row.line is None else row.line.body for row in (own, other)]
            assert bodies[0] == bodies[1]
            assert own.reason == other.reason
            for name, value in own.row.items():
                assert value == other.row[name], name
        assert [row.reason is None for row in read] == [True, False, False]
