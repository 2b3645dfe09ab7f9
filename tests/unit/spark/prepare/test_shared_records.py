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
from bedrock_spark.spark.prepare.columns import HASH, KEY
from bedrock_spark.spark.prepare.source import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask
from bedrock_spark.spark.row_bytes import row_bytes
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

PREPARE_ID = "0a1b2c3d4e5f"
ROWS, BESIDE = 400, 1_000
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
