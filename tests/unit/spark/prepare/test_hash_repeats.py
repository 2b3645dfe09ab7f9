"""A bucket that is sorted by hash alone: as with keys if no hash repeats, else not used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import PlanError
from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.spark.prepare.columns import HASH, KEY
from bedrock_spark.spark.prepare.source_columns import SourceColumns
from bedrock_spark.spark.prepare.task import PrepareTask
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import make_config

COLUMNS = SourceColumns(("id",), ("id", "body"), ("body",))
BUCKETS, ROWS = 3, 40


def hashes_of(bucket: int) -> list[int]:
    """Return hashes of one bucket, in order."""
    hashes = np.arange(-500, 500, dtype=np.int64)
    of_bucket: list[int] = hashes[buckets_of(hashes, BUCKETS) == bucket].tolist()
    return of_bucket[:ROWS]


def batch_of(hashes: list[int], has_key: bool) -> pa.RecordBatch:
    ids = [str(number) for number in range(len(hashes))]
    keys = {KEY: [f'["{i}"]' for i in ids]} if has_key else {}
    columns = {HASH: pa.array(hashes, pa.int64()), **keys, "id": ids, "body": ids}
    return pa.RecordBatch.from_pydict(columns)


def summary_of(folder: Path, batch: pa.RecordBatch, width: int = 7) -> dict[str, Any]:
    """Cut a bucket that comes in batches of `width` rows; return its summary."""
    config = make_config(str(folder), request={"prompt": "{{ body }}", "max_tokens": 10})
    storage = LocalStorage(str(folder))
    task = PrepareTask(config, COLUMNS, storage, AwsSettings(), BUCKETS, "0a1b2c3d4e5f")
    batches = iter([batch.slice(start, width) for start in range(0, batch.num_rows, width)])
    (made,) = task(batches)
    assert next(batches, None) is None
    summary: dict[str, Any] = json.loads(made.column("summary")[0].as_py())
    return summary


@pytest.mark.parametrize("bucket", range(BUCKETS))
def test_without_keys_the_shards_are_the_same(tmp_path: Path, bucket: int) -> None:
    hashes = hashes_of(bucket)
    made = [
        summary_of(tmp_path / str(has_key), batch_of(hashes, has_key)) for has_key in (False, True)
    ]
    assert made[0] == made[1]
    assert sum(shard["records"] for shard in made[0]["shards"]) == ROWS


@pytest.mark.parametrize("repeated", [0, 5, 6, ROWS - 2])
def test_if_a_hash_repeats_the_summary_says_so(tmp_path: Path, repeated: int) -> None:
    """Within a batch or at its edge. With keys, the second row gets an id of its own."""
    hashes = hashes_of(1)
    hashes[repeated + 1] = hashes[repeated]
    made = summary_of(tmp_path / "a", batch_of(hashes, has_key=False))
    with_key = summary_of(tmp_path / "b", batch_of(hashes, has_key=True))
    assert made == {"bucket": with_key["bucket"], "hash_repeats": True}
    assert sum(shard["records"] for shard in with_key["shards"]) == ROWS


def test_a_row_of_another_bucket_is_an_error(tmp_path: Path) -> None:
    """Then Spark's hash is not the expected one, and ids would not lead to shards."""
    hashes = [*hashes_of(1)[:5], max(hashes_of(2))]
    with pytest.raises(PlanError, match="Spark put bucket 2 into the task of bucket 1"):
        summary_of(tmp_path, batch_of(hashes, has_key=False))
