"""Rows of plain files are read without Spark, or it is said why Spark is needed."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv
from pyarrow import parquet as pq

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config.row_choice import RowChoice, keys_of_lines
from bedrock_spark.errors import ConfigError, PlanError, SourceError
from bedrock_spark.spark.by_arrow.file_rows import FileRows, read_file_rows
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from tests.unit.fakes import make_config

AWS = AwsSettings("us-east-1")
FIRST = RowChoice(3)


def rows_of(
    place: Path, choice: RowChoice = FIRST, prompt: str = "About {{ body }}", **source: Any
) -> FileRows:
    source = {"path": str(place), "key": ["id"], **source}
    config = make_config(source=source, request={"prompt": prompt, "max_tokens": 10})
    return read_file_rows(config, AWS, choice)


def prompts(rows: FileRows) -> list[str | None]:
    made = rows.rendered(rows.config)
    bodies = [None if row.line is None else json.loads(row.line.body) for row in made]
    return [None if b is None else b["messages"][0]["content"][0]["text"] for b in bodies]


def write_parquet(folder: Path, files: int = 3, rows: int = 10, **columns: Any) -> Path:
    folder.mkdir()
    for n in range(files):
        ids = [n * rows + i for i in range(rows)]
        values = {"id": ids, "body": [f"text {i}" for i in ids], **columns}
        pq.write_table(pa.table(values), folder / f"part-{n}.parquet", row_group_size=4)
    (folder / "_SUCCESS").write_text("")
    return folder


def test_the_first_rows_of_parquet(tmp_path: Path) -> None:
    rows = rows_of(write_parquet(tmp_path / "table.parquet"))
    assert prompts(rows) == ["About text 0", "About text 1", "About text 2"]
    assert rows.rendered(rows.config)[0].row == {"id": 0, "body": "text 0"}
    assert rows.size(rows.config).records == 30


def test_more_rows_than_a_file_has_are_of_several_files(tmp_path: Path) -> None:
    assert len(prompts(rows_of(write_parquet(tmp_path / "table.parquet"), RowChoice(25)))) == 25


def test_rows_at_random_are_the_same_for_a_seed(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "table.parquet", rows=100)
    one, same, other = (prompts(rows_of(folder, RowChoice(10, seed=s))) for s in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) == 10


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_rows_are_found_by_key(tmp_path: Path, form: str) -> None:
    values = [{"id": f"T-{n}", "body": f"text {n}"} for n in range(50)]
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(values), path, row_group_size=7)
    elif form == "csv":
        path.write_text("id,body\n" + "".join(f"{v['id']},{v['body']}\n" for v in values))
    else:
        path.write_text("".join(f"{json.dumps(v)}\n" for v in values))
    keys = keys_of_lines(["T-41", "T-3", "T-41"], ("id",))
    assert sorted(map(str, prompts(rows_of(path, RowChoice(5, keys=keys))))) == [
        "About text 3",
        "About text 41",
    ]
    with pytest.raises(PlanError, match=r"^source: has no row with the key 'T-99'; correct it"):
        rows_of(path, RowChoice(5, keys=(("T-99",),)))
    keys = keys_of_lines([f"T-{n}" for n in (41, *range(48, 63))], ("id",))
    message = r"no row with 13 of the 16 keys: 'T-50', .*, 'T-59' and 3 more; correct them"
    with pytest.raises(PlanError, match=message):
        rows_of(path, RowChoice(1, keys=keys))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_key_of_many_rows_hides_no_other_key(tmp_path: Path, form: str) -> None:
    """A run refuses such a table; here, the first of these rows counts."""
    values = pa.table({"id": ["a"] * 20 + ["b"], "n": range(21), "body": map(str, range(21))})
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        pq.write_table(values, path, row_group_size=3)
    else:
        csv.write_csv(values, path)
    assert prompts(rows_of(path, RowChoice(1, keys=(("b",), ("a",))))) == ["About 0", "About 20"]
    # The values of a key are in one row, and a long one is cut.
    keys = (("a", "20"), ("b", "20"), ("a", "x" * 100))
    with pytest.raises(PlanError, match=r"2 of the 3 keys: 'a\\t20', 'a\\tx{58}…'; correct them"):
        rows_of(path, RowChoice(1, keys=keys), key=["id", "n"])


def test_values_of_a_key_have_tabs_between_them() -> None:
    assert keys_of_lines(["a\tb", ""], ("x", "y")) == (("a", "b"),)
    with pytest.raises(
        ConfigError, match=r"key 2: has 1 values, and source.key has 2 columns: x, y"
    ):
        keys_of_lines(["a\tb", "c"], ("x", "y"))
    with pytest.raises(ConfigError, match=r"source.key: is not set"):
        keys_of_lines(["a"], ())


def test_a_null_is_rejected_as_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id,body\n1,one\n2,\n3,""\n')
    made = rows_of(path).rendered(rows_of(path).config)
    assert [row.reason for row in made] == [None, "body is null", "body is null"]
    assert rows_of(path).size(rows_of(path).config).records == 3


QUOTED = 'id,body\n1,"He said ""no"", twice"\n2,"two\nlines"\n'


def test_quotes_and_breaks_of_csv_need_the_options_that_read_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(QUOTED)
    options = {"header": True, "multiLine": True, "escape": '"'}
    assert prompts(rows_of(path, options=options)) == [
        'About He said "no", twice',
        "About two\nlines",
    ]
    for lacking in ("multiLine", "escape"):
        fewer = {name: value for name, value in options.items() if name != lacking}
        with pytest.raises(NeedsSparkError, match="quotation marks, backslashes or line breaks"):
            rows_of(path, options=fewer)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"where": "id > 1"}, "a condition in SQL"),
        ({"format": "delta"}, "the format is delta"),
        ({"options": {"header": True, "inferSchema": True}}, "source.options has inferschema"),
        ({"options": {"header": False}}, "no header"),
        ({"path": "hdfs://host/rows.csv"}, "the path begins with hdfs://"),
        ({"path": "rows-*.csv"}, "the path is a pattern"),
        ({"path": "rows.csv.gz"}, "the file is compressed"),
        ({"path": None, "format": None, "sql": "select 1"}, "the source is no file"),
    ],
)
def test_what_spark_alone_reads_says_why(tmp_path: Path, source: dict[str, Any], why: str) -> None:
    (tmp_path / "rows.csv").write_text("id,body\n1,one\n")
    with pytest.raises(NeedsSparkError, match=why):
        rows_of(tmp_path / "rows.csv", **source)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"id": 1, "body": 5}\n', "the type of the column body depends on all rows"),
        ('{"id": 1}\n', "the type of the column body depends on all rows"),
        ('{"body": "a"}\n', "have no column id"),
        ('{"id": 1, "body": "a"}\n[1]\n', "no JSON object"),
        ('{"id": 1, "body": "a"}\n{"id": [1], "body": "b"}\n', "values of several types"),
    ],
)
def test_json_whose_types_depend_on_all_rows_needs_spark(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(NeedsSparkError, match=why):
        rows_of(path)


def test_a_partitioned_folder_needs_spark(tmp_path: Path) -> None:
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    write_parquet(folder / "day=1")
    with pytest.raises(NeedsSparkError, match="partitioned"):
        rows_of(folder, format="parquet")


def test_types_that_spark_reads_differently_need_spark(tmp_path: Path) -> None:
    nanos = pa.array([dt.datetime(2026, 11, 1)] * 10, pa.timestamp("ns"))
    folder = write_parquet(tmp_path / "table.parquet", at=nanos)
    with pytest.raises(NeedsSparkError, match=r"the column at has the type timestamp\[ns\]"):
        rows_of(folder)


def test_a_type_that_is_the_same_is_rendered_the_same(tmp_path: Path) -> None:
    moment = pa.array([dt.datetime(2026, 11, 1, tzinfo=dt.UTC)] * 10, pa.timestamp("us", "UTC"))
    folder = write_parquet(tmp_path / "table.parquet", at=moment)
    assert prompts(rows_of(folder, RowChoice(1), "At {{ at }}")) == ["At 2026-11-01T00:00:00Z"]


def test_errors_name_the_path_and_the_column(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source.path = .*rows.csv': has no file"):
        rows_of(tmp_path / "rows.csv")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 is damaged PAR1")
    with pytest.raises(SourceError, match=r"rows.parquet': cannot be read as parquet: "):
        rows_of(tmp_path / "rows.parquet")
    folder = write_parquet(tmp_path / "table.parquet")
    with pytest.raises(ConfigError, match="request: the source has no column bdy; did you mean"):
        rows_of(folder, prompt="About {{ bdy }}")
    with pytest.raises(ConfigError, match=r"source.key: score is a double, whose text"):
        rows_of(write_parquet(tmp_path / "other.parquet", score=[0.5] * 10), key=["score"])


def test_a_source_of_many_files_is_estimated_from_a_few(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "table.parquet", files=40)
    rows = rows_of(folder)
    assert len(rows.files.chosen) == 16
    assert rows.size(rows.config).records == pytest.approx(400, rel=0.05)


def test_no_package_of_spark_is_imported() -> None:
    program = """
import sys
sys.modules["pyspark"] = sys.modules["py4j"] = None
import bedrock_spark.spark.by_arrow.file_rows
"""
    subprocess.run([sys.executable, "-c", program], check=True)
