"""What the first rows of a source say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import orc
from pyarrow import parquet as pq

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError, SourceError
from bedrock_spark.starter.source_sample import SourceSample, check_key, sample_source

ROWS: list[dict[str, Any]] = [
    {"day": f"2026-11-0{n % 3 + 1}", "shop": f"s{n // 3}", "note": "a long note " * (n + 1)}
    for n in range(9)
]


def no_spark() -> Any:
    raise AssertionError("Spark is not needed")


def sample(rows: list[dict[str, Any]], folder: Path) -> SourceSample:
    pq.write_table(pa.Table.from_pylist(rows), folder / "t.parquet")
    return sample_source(SourceConfig(path=str(folder / "t.parquet"), format="parquet"), no_spark)


def as_csv(table: pa.Table, path: Path) -> None:
    rows = [table.column_names, *zip(*(c.to_pylist() for c in table.columns), strict=True)]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def as_json(table: pa.Table, path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": lambda table, path: pq.write_table(table, path),
    "orc": lambda table, path: orc.write_table(table, path),
}


@pytest.mark.parametrize("form", WRITERS)
def test_local_files_are_read_without_spark(form: str, tmp_path: Path) -> None:
    """One file, and a folder of files."""
    (tmp_path / "folder").mkdir()
    for name in ("t", "folder/part-0"):
        WRITERS[form](pa.Table.from_pylist(ROWS), tmp_path / f"{name}.{form}")
    for path in (tmp_path / f"t.{form}", tmp_path / "folder"):
        found = sample_source(SourceConfig(path=str(path), format=form), no_spark)
        assert found.names == ["day", "shop", "note"]
        assert len(found.rows) == len(ROWS)
        assert found.proposed_column(has_images=False, key=()) == "note"


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        ([{"body": f"text {n}", "id": n} for n in range(5)], ("id",)),
        ([{"kind": "a", "ticket_no": n} for n in range(5)], ("ticket_no",)),
        ([{k: v for k, v in row.items() if k != "note"} for row in ROWS], ("day", "shop")),
        ([{"id": n // 2, "value": n / 3} for n in range(5)], ()),  # a float is no key
        ([{"id": None if n == 2 else n, "b": "x"} for n in range(5)], ()),
        ([{"id": "1", "photo": b"1"}, {"id": "1", "photo": b"2"}], ()),  # nor are bytes
        ([{"id": {"n": n}, "tag_id": [n]} for n in range(5)], ()),  # nor is what holds others
    ],
)
def test_the_proposed_key_is_unique(
    rows: list[dict[str, Any]], key: tuple[str, ...], tmp_path: Path
) -> None:
    """Columns that are called a key come first, and two together count if none is unique alone."""
    assert sample(rows, tmp_path).proposed_key() == key


def test_a_key_that_repeats_is_refused_with_one_that_does_not(tmp_path: Path) -> None:
    """No message holds a value of the row."""
    found = sample([{"id": n, "kind": "secret"} for n in range(5)], tmp_path)
    with pytest.raises(ConfigError) as raised:
        check_key(found, ["kind"])
    assert str(raised.value) == (
        "--key: kind is null or repeats in the first 5 rows; unique there: id"
    )
    with pytest.raises(ConfigError, match="the source has no column ids; did you mean id"):
        check_key(found, ["ids"])
    check_key(found, ["kind", "id"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"id,body\n1,a\n2,secret words,secret\n", ": Row #3: Expected 2 columns, got 3"),
        (b"id,body\n1,\xff secret\n", ""),
        (b"", ": Empty CSV file"),
    ],
)
def test_why_a_csv_cannot_be_read_holds_no_value(data: bytes, reason: str, tmp_path: Path) -> None:
    """Arrow's own words quote the row."""
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(SourceError) as raised:
        sample_source(SourceConfig(path=str(path)), no_spark)
    assert str(raised.value) == f"--source {path}: cannot be read as csv{reason}"
    assert raised.value.__suppress_context__


def test_all_values_of_csv_are_text_as_spark_reads_them(tmp_path: Path) -> None:
    """So a late value of another type is none; an empty one is null, and lines may be long."""
    rows = [f'{n},"line\n{"x" * 3_000}"' for n in range(900)]
    (tmp_path / "t.csv").write_text("\n".join(["id,body", *rows, "T-7,", ""]))
    found = sample_source(SourceConfig(path=str(tmp_path / "t.csv")), no_spark)
    assert (found.rows[0][0], tuple(found.rows[900])) == ("0", ("T-7", None))
    assert found.csv_options() == {"multiLine": True}
    assert found.proposed_key() == ("id",)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ('"say ""yes"", please"', {"escape": '"'}),
        ('"one\n""two"""', {"multiLine": True, "escape": '"'}),
        ('5" pipe', {"escape": '"'}),
        ('"say \\"yes\\" please"', {}),
        ("C:\\temp", {}),
    ],
)
def test_what_spark_must_know_of_a_csv(value: str, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id,body\n1,{value}\n")
    found = sample_source(SourceConfig(path=str(tmp_path / "t.csv")), no_spark)
    assert len(found.rows) == 1
    assert found.csv_options() == options


def test_images_are_found_by_their_bytes_or_names(tmp_path: Path) -> None:
    rows = [{"id": n, "text": "long " * 9, "uri": f"s3://b/{n}.png"} for n in range(3)]
    found = sample(rows, tmp_path)
    assert found.proposed_column(has_images=True, key=()) == "uri"
    found = sample([{"id": 1, "photo": b"png"}], tmp_path)
    assert found.proposed_column(has_images=True, key=()) == "photo"
    assert found.proposed_column(has_images=False, key=()) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "does not exist"), ("", "cannot be read as json"), ("{", "cannot be read as json")],
)
def test_a_source_that_cannot_be_read_says_so(
    text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SourceError, match=message):
        sample_source(SourceConfig(path=str(path), format="json"), no_spark)
