"""A record is found by its id: only the shards of its bucket are read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.records import find_record
from bedrock_spark.shards import record_ids
from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.shards.buckets import bucket_of, bucket_of_shard, is_record_id
from bedrock_spark.storage import LocalStorage

# What Spark's hash() gives for these bigints.
SPARK_HASHES = [
    (1, -1712319331),
    (-1, -939490007),
    (0, -1670924195),
    (2**63 - 1, -1604625029),
    (-(2**63), -853646085),
    (1234567890123456789, -2017768400),
]
# Ids of a run that Spark prepared in four buckets, and their shards.
PREPARED = [
    ("B87RyftZQf2", "shard-00007-00"),
    ("GrtWzby9KVs", "shard-00008-02"),
    ("JOW83Yr1dE1", "shard-00009-03"),
    ("Dq1lDfSQRge", "shard-00009-01"),
    ("B6exJlfQs2D", "shard-00009-00"),
    ("H2oIObfMpIT", "shard-00006-02"),
    ("9aISIgELXhS", "shard-00009-07"),
    ("JtSv242TAVM", "shard-00006-03"),
]


@pytest.mark.parametrize(("number", "spark_hash"), SPARK_HASHES)
@pytest.mark.parametrize("buckets", [1, 7, 2048])
def test_the_bucket_of_an_id_is_the_one_of_sparks_partitioning(
    number: int, spark_hash: int, buckets: int
) -> None:
    """The hash of the bigint that the id encodes, modulo the number of buckets, never negative."""
    assert bucket_of(record_ids.encode(number), buckets) == spark_hash % buckets


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=20), st.integers(1, 5000))
def test_the_buckets_of_many_hashes_are_those_of_each(hashes: list[int], buckets: int) -> None:
    hashes += [row_hash for row_hash, _ in SPARK_HASHES]
    expected = [bucket_of(record_ids.encode(row_hash), buckets) for row_hash in hashes]
    assert buckets_of(np.array(hashes, np.int64), buckets).tolist() == expected


@pytest.mark.parametrize(("record_id", "shard_id"), PREPARED)
def test_records_are_in_the_bucket_of_their_shard(record_id: str, shard_id: str) -> None:
    """In a run that was really prepared."""
    bucket, buckets = bucket_of_shard(shard_id)
    assert buckets == 4
    assert bucket_of(record_id, buckets) == bucket


@given(st.integers(0, 10**13), st.integers(1, 5000), st.data())
def test_a_salted_id_has_the_bucket_that_it_is_made_for(salt: int, buckets: int, data: Any) -> None:
    """The id is congruent to the bucket that it was salted for."""
    bucket = data.draw(st.integers(0, buckets - 1))
    assert bucket_of(record_ids.salted_id(salt, bucket, buckets), buckets) == bucket


@given(st.integers(1, 5000), st.data(), st.integers(0, 99))
def test_the_bucket_of_a_shard_follows_from_its_id(buckets: int, data: Any, cut: int) -> None:
    """This is the inverse of making the id from the bucket."""
    bucket = data.draw(st.integers(0, buckets - 1))
    shard_id = layout.shard_id(layout.bucket_number(bucket, buckets), cut)
    assert bucket_of_shard(shard_id) == (bucket, buckets)


@pytest.mark.parametrize(
    "text", ["", "T-17", "0123456789", "0123456789ab", "0123456789-", "é" * 11]
)
def test_only_some_texts_are_record_ids(text: str) -> None:
    """A record id has eleven digits and letters."""
    assert not is_record_id(text)
    assert is_record_id("0123456789a")


class CountedStorage(LocalStorage):
    """Storage that notes the keys of all reads."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.reads: list[str] = []

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        self.reads.append(key)
        return super().read_range(key, start, stop)


def prepared(folder: Path, buckets: int, ids: list[str]) -> tuple[CountedStorage, RunManifest]:
    """Write records into the shards of their buckets, two shards per bucket."""
    storage = CountedStorage(str(folder))
    lines: dict[str, bytes] = {}
    for n, record_id in enumerate(ids):
        bucket = layout.bucket_number(bucket_of(record_id, buckets), buckets)
        shard_id = layout.shard_id(bucket, n % 2)
        body = {"n": n, "text": f'\n{{"recordId":"{ids[-1]}",'}
        line = json.dumps({"recordId": record_id, "modelInput": body}, separators=(",", ":"))
        lines[shard_id] = lines.get(shard_id, b"") + f"{line}\n".encode()
    for shard_id, data in lines.items():
        storage.write(layout.shard_key(shard_id, "p"), data)
    shards = tuple(
        Shard(s, d.count(b"\n"), len(d), "0" * 64, 0, "p") for s, d in sorted(lines.items())
    )
    return storage, RunManifest("r", len(ids), "a INT", shards, ())


def test_every_record_is_found_and_other_buckets_are_not_read(tmp_path: Path) -> None:
    """The body has its exact bytes. Text that looks like a record is not one."""
    dice = random.Random(4)
    ids = [record_ids.encode(dice.getrandbits(64)) for _ in range(200)]
    storage, manifest = prepared(tmp_path, 8, ids)
    for n, record_id in enumerate(ids):
        storage.reads.clear()
        record = find_record(storage, manifest, record_id)
        assert record.recordId == record_id
        assert record.body.startswith(b'{"n":%d,' % n)
        assert 1 <= len(storage.reads) <= 2


def test_an_unknown_id_is_an_error(tmp_path: Path) -> None:
    """A text that is no id, and an id without a record: only the shards of its bucket are read."""
    ids = [record_ids.encode(n) for n in range(40)]
    storage, manifest = prepared(tmp_path, 4, ids)
    with pytest.raises(RunFolderError, match=r"'T-1': is not a record id"):
        find_record(storage, manifest, "T-1")
    with pytest.raises(RunFolderError, match="has no record 0000000zzzz; its row may be rejected"):
        find_record(storage, manifest, "0000000zzzz")
    assert len(storage.reads) == 2
