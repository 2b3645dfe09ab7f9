"""`bedrock-spark init` for files in S3: read without Spark, as `preview` reads them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from bedrock_spark.cli import init as command
from bedrock_spark.cli import main

from .kit import Kit

IDS = [f"T-{n}" for n in range(1_200)]
BODIES = [f"ticket {n} tells a long story" for n in range(1_200)]


class SparkIsNeededError(Exception):
    """Stands for the start of Spark."""


@pytest.fixture
def lake(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kit:
    """Return a bucket; Spark cannot be started, and the results are in the current folder."""
    for name, value in kit.local.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def no_spark(*_: object) -> None:
        raise SparkIsNeededError

    monkeypatch.setattr(command, "_session", no_spark)
    return kit


def init(kit: Kit, name: str, data: dict[str, bytes], *options: str) -> Result:
    """Write objects below a name, and make a config for them."""
    for key, content in data.items():
        kit.s3.put_object(Bucket=kit.bucket, Key=f"{name}{key}", Body=content)
    source = ["--source", f"s3://{kit.bucket}/{name}", "--task", "classify", "--name", "made"]
    place = ["--run-folder", f"s3://{kit.bucket}/runs/x"]
    return CliRunner().invoke(main, ["init", *source, *place, *options], catch_exceptions=False)


def as_parquet(ids: list[str], bodies: list[str]) -> bytes:
    sink = io.BytesIO()
    photos = [b"\x00" * 9_000 for _ in ids]
    pq.write_table(pa.table({"ticket_id": ids, "body": bodies, "photo": photos}), sink)
    return sink.getvalue()


def as_csv(rows: list[tuple[str, str]]) -> bytes:
    return "".join(f"{i},{body}\n" for i, body in [("ticket_id", "body"), *rows]).encode()


ROWS = list(zip(IDS, BODIES, strict=True))
PARTS = {f"/part-{n}.parquet": as_parquet(IDS[n : n + 600], BODIES[n : n + 600]) for n in (0, 600)}
OBJECTS = [{"ticket_id": i, "body": body, "n": n} for n, (i, body) in enumerate(ROWS)]
LINES = "".join(f"{json.dumps(each)}\n" for each in OBJECTS).encode()
ODD_LINE, DOUBLED = '"one\ntwo"', '"say ""yes"", please"'


@pytest.mark.parametrize(
    ("name", "data", "source"),
    [
        ("tickets", PARTS, {"format": "parquet"}),
        ("t.json", {"": LINES}, {}),
        ("t.csv", {"": as_csv(ROWS)}, {}),
        ("t.csv", {"": as_csv([("1", ODD_LINE), *ROWS])}, {"options": {"multiLine": True}}),
        ("t.csv", {"": as_csv([("1", DOUBLED), *ROWS])}, {"options": {"escape": '"'}}),
        (
            *("t.csv", {"": as_csv([("1", ODD_LINE), ("2", DOUBLED), *ROWS])}),
            {"options": {"multiLine": True, "escape": '"'}},
        ),
    ],
)
def test_files_in_s3_are_read_without_spark(
    lake: Kit, name: str, data: dict[str, bytes], source: dict[str, Any]
) -> None:
    """The key and the column are proposed, and what Spark must know of a CSV file."""
    done = init(lake, name, data)
    assert done.exit_code == 0, done.output
    values = yaml.safe_load(Path("made.yaml").read_text("utf-8"))
    path = f"s3://{lake.bucket}/{name}"
    assert values["source"] == {"path": path, "key": ["ticket_id"], **source}
    assert "{{ body }}" in values["request"]["prompt"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", {"": b'id,body\n1,"nothing closes it\n'}),
        ("t.json", {"": b"[1, 2]\n"}),
        ("lake", {"/day=2026-11-27/part.parquet": PARTS["/part-0.parquet"]}),
        ("t.csv.gz", {"": b"\x1f\x8b"}),
    ],
)
def test_what_only_spark_reads_as_a_run_does_is_left_to_it(
    lake: Kit, name: str, data: dict[str, bytes]
) -> None:
    with pytest.raises(SparkIsNeededError):
        init(lake, name, data)


def test_a_source_without_a_file_says_so(lake: Kit) -> None:
    found = init(lake, "nothing.parquet", {})
    assert found.exit_code == 3
    assert f"'s3://{lake.bucket}/nothing.parquet': has no file" in found.stderr
