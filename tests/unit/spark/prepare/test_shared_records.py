"""Rows with one body share a record; the rows of a record, and so of a shard, have a bound."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.run_folder import layout
from bedrock_spark.schema import ROW_BODY_SHA256
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.spark.prepare.body_hashes import HashBodies
from bedrock_spark.spark.prepare.columns import HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask
from bedrock_spark.spark.row_bytes import row_bytes
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

PREPARE_ID = "0a1b2c3d4e5f"
ROWS, BESIDE = 400, 1_000
PNG = b"\x89PNG\r\n\x1a\n"
BODIES = {"a": 350, "b": 40, "c": 10}


def batch_of() -> pa.RecordBatch:
    """Return the rows of one bucket as the shuffle leaves them: sorted by hash and key."""
    bodies = sorted(BODIES, key=lambda body: body_hash(body.encode()))
    texts = [body for body in bodies for _ in range(BODIES[body])]
    return pa.RecordBatch.from_pydict(
        {
            HASH: pa.array([body_hash(text.encode()) for text in texts], pa.int64()),
            KEY: [sha256(text.encode()).hexdigest() for text in texts],
            "body": texts,
            "number": pa.array(range(ROWS), pa.int64()),
            "beside": ["x" * BESIDE] * ROWS,
        }
    )


def config_of(folder: Path, max_row_bytes: int) -> Config:
    shards = {"max_records": 1000, "min_records": 4, "max_row_bytes": max_row_bytes}
    return make_config(
        str(folder),
        request={"prompt": "{{ body }}", "dedupe": True, "max_tokens": 10},
        shards=shards,
    )


@pytest.mark.parametrize(
    ("max_row_bytes", "width", "records"),
    [(100_000_000, 400, 3), (100_000, 400, 19), (100_000, 7, 19), (100_000, 1, 19), (4, 64, 400)],
)
def test_the_rows_of_a_shard_are_bounded_if_they_share_records(
    tmp_path: Path, max_row_bytes: int, width: int, records: int
) -> None:
    """Every row has a record with its body in its shard; a body is sent again once per bound."""
    storage = LocalStorage(str(tmp_path))
    columns = SourceColumns((), ("body", "number", "beside"), ("body",))
    task = PrepareTask(
        config_of(tmp_path, max_row_bytes), columns, storage, AwsSettings(), 1, PREPARE_ID
    )
    batch = batch_of()
    (summary,) = task(batch.slice(start, width) for start in range(0, ROWS, width))
    shards = json.loads(summary.column("summary")[0].as_py())["shards"]
    assert sum(shard["records"] for shard in shards) == records
    seen: list[int] = []
    for shard in shards:
        data = storage.read(layout.shard_key(shard["shard_id"], PREPARE_ID))
        asked = {line["recordId"]: line["modelInput"] for line in map(json.loads, data.split())}
        rows = pq.read_table(tmp_path / layout.rows_key(shard["shard_id"], PREPARE_ID))
        seen += rows["number"].to_pylist()
        for row in rows.to_pylist():
            text = asked[row["_bs_record_id"]]["messages"][0]["content"][0]["text"]
            assert text == row["body"]
            assert row[ROW_BODY_SHA256] == sha256(text.encode()).digest()
        size = int(row_bytes(rows.combine_chunks().to_batches()[0]).sum())
        assert size <= 1.25 * max_row_bytes or len(asked) < 8
    assert sorted(seen) == list(range(ROWS))


def test_a_row_whose_image_was_replaced_meanwhile_is_rejected(tmp_path: Path) -> None:
    """Its body was hashed with the old image: an answer about the new one must not count for that.

    Not for this row, not for others with the old image, and not in a store of answers.
    """
    config = make_config(
        str(tmp_path),
        request={"prompt": "What is it?", "images": "photo", "dedupe": True, "max_tokens": 10},
    )
    columns = SourceColumns((), ("number",), ("number", "photo"))
    photos = [PNG + name for name in (b"cat", b"cat", b"dog")]

    def batch(photos: list[bytes], **others: list[object]) -> pa.RecordBatch:
        values = {HASH: [0] * 3, KEY: [""] * 3, REPEATED: [None] * 3, TIE: [1, 2, 3]} | others
        types = {HASH: pa.int64(), TIE: pa.int64()}
        arrays = {n: pa.array(v, types.get(n, pa.string())) for n, v in values.items()}
        return pa.RecordBatch.from_pydict({**arrays, "number": range(3), "photo": photos})

    (hashed,) = HashBodies(config, AwsSettings(), False)(iter([batch(photos)]))
    order = sorted(range(3), key=lambda row: (hashed.column(HASH)[row].as_py(), row))
    hashed = hashed.take(pa.array(order))
    cats = [place for place, row in enumerate(order) if photos[row].endswith(b"cat")]
    storage = LocalStorage(str(tmp_path))

    def records(rows: pa.RecordBatch) -> tuple[int, dict[str, int]]:
        task = PrepareTask(config, columns, storage, AwsSettings(), 1, PREPARE_ID)
        (done,) = task(iter([rows]))
        summary = json.loads(done.column("summary")[0].as_py())
        return sum(shard["records"] for shard in summary["shards"]), summary["reasons"]

    assert records(hashed) == (2, {})
    place = hashed.schema.get_field_index("photo")
    now = hashed.column("photo").to_pylist()
    now[cats[0]] = PNG + b"a new cat"
    one = hashed.set_column(place, "photo", pa.array(now))
    # The other cat still has the image that was hashed, and makes the record itself.
    assert records(one) == (2, {"photo was replaced while prepare read it": 1})
    now[cats[1]] = PNG + b"a new cat"
    both = hashed.set_column(place, "photo", pa.array(now))
    assert records(both) == (1, {"photo was replaced while prepare read it": 2})
