"""Formats: told by the name of a file, misspelt, or without arrays."""

from __future__ import annotations

import pytest

from bedrock_spark.config.formats import READABLE, WRITABLE, format_faults, format_of_path, misspelt


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("s3://lake/t.parquet", "parquet"),
        ("s3://lake/t.parquet/", "parquet"),
        ("/data/T.JSONL", "json"),
        ("t.ndjson.gz", "json"),
        ("t.csv.zst", "csv"),
        ("s3://lake/year=*/*.orc", "orc"),
        ("s3://lake/tickets/", None),
        ("s3://lake/t.v2", None),
        ("t.gz", None),
        (".csv", None),
        ("", None),
    ],
)
def test_the_end_of_a_path_may_tell_the_format(path: str, told: str | None) -> None:
    """With a compression behind it, too."""
    assert format_of_path(path) == told


def test_a_known_format_is_never_misspelt() -> None:
    """In whatever case, as Spark reads it."""
    for names in (READABLE, WRITABLE):
        assert [misspelt(name.upper(), names) for name in names] == [None] * len(names)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("paruqet", "parquet"),
        ("parket", "parquet"),
        ("jsno", "json"),
        ("jsonl", "json"),
        ("cvs", None),
        ("Detla", "delta"),
        ("icebreg", "iceberg"),
        ("com.acme.Reader", None),
        ("lance", None),
        ("excel", None),
    ],
)
def test_a_format_near_to_a_known_one_is_misspelt(name: str, meant: str | None) -> None:
    """Others may be of a package that is not known here: Spark tells later."""
    assert misspelt(name, WRITABLE) == meant


def test_results_that_are_published_need_arrays() -> None:
    """Without a place, the format is not used."""
    assert format_faults(None, "csv", is_published=False) == []
    for name in ("csv", "TEXT"):
        (fault,) = format_faults("csv", name, is_published=True)
        assert fault.startswith(f"results.format = {name!r}: cannot hold")
