"""A record is found by its id, in the shards of the bucket that the id tells."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.records import find_record
from bedrock_spark.shards import record_ids
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
# Ids of a run that Spark prepared, in four buckets, and the shards they lie in.
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


@pytest.mark.parametrize(("number", "hashed"), SPARK_HASHES)
@pytest.mark.parametrize("buckets", [1, 7, 2048])
def test_a_bucket_is_what_sparks_partitioning_makes_of_an_id(
    number: int, hashed: int, buckets: int
) -> None:
    """The hash of a bigint, which an id spells, modulo the number of buckets and never negative."""
    assert bucket_of(record_ids.encode(number), buckets) == hashed % buckets


@pytest.mark.parametrize(("record_id", "shard_id"), PREPARED)
def test_records_lie_where_prepare_put_them(record_id: str, shard_id: str) -> None:
    """As a real prepare did."""
    bucket, buckets = bucket_of_shard(shard_id)
    assert buckets == 4
    assert bucket_of(record_id, buckets) == bucket


@given(st.text(max_size=20), st.integers(1, 9), st.integers(1, 5000), st.data())
def test_a_salted_id_tells_its_bucket_too(text: str, salt: int, buckets: int, data: Any) -> None:
    """It is congruent to it."""
    bucket = data.draw(st.integers(0, buckets - 1))
    assert bucket_of(record_ids.salted_id(text, salt, bucket, buckets), buckets) == bucket


@given(st.integers(1, 5000), st.data(), st.integers(0, 99))
def test_a_shards_number_tells_its_bucket(buckets: int, data: Any, cut: int) -> None:
    """It is the inverse of how numbers are given."""
    bucket = data.draw(st.integers(0, buckets - 1))
    shard_id = layout.shard_id(layout.bucket_number(bucket, buckets), cut)
    assert bucket_of_shard(shard_id) == (bucket, buckets)


@pytest.mark.parametrize(
    "text", ["", "T-17", "0123456789", "0123456789ab", "0123456789-", "é" * 11]
)
def test_not_every_text_is_an_id(text: str) -> None:
    """Eleven of digits and letters are."""
    assert not is_record_id(text)
    assert is_record_id("0123456789a")


class CountedStorage(LocalStorage):
    """Notes what is read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.reads: list[str] = []

    def read(self, key: str) -> bytes:
        self.reads.append(key)
        return super().read(key)


def prepared(folder: Path, buckets: int, ids: list[str]) -> tuple[CountedStorage, RunManifest]:
    """Put records into the shards where they belong, two cuts to a bucket."""
    storage = CountedStorage(str(folder))
    lines: dict[str, bytes] = {}
    for n, record_id in enumerate(ids):
        bucket = layout.bucket_number(bucket_of(record_id, buckets), buckets)
        shard_id = layout.shard_id(bucket, n % 2)
        body = {"n": n, "text": f'\n{{"recordId":"{ids[-1]}",'}
        line = json.dumps({"recordId": record_id, "modelInput": body}, separators=(",", ":"))
        lines[shard_id] = lines.get(shard_id, b"") + f"{line}\n".encode()
    for shard_id, data in lines.items():
        storage.write(layout.shard_key(shard_id), data)
    shards = tuple(Shard(s, d.count(b"\n"), len(d), "0" * 64) for s, d in sorted(lines.items()))
    return storage, RunManifest("r", len(ids), "a INT", shards, ())


def test_every_record_is_found_and_other_buckets_are_not_read(tmp_path: Path) -> None:
    """The body comes byte for byte; what looks like a record inside a text is none."""
    dice = random.Random(4)
    ids = [record_ids.encode(dice.getrandbits(64)) for _ in range(200)]
    storage, manifest = prepared(tmp_path, 8, ids)
    for n, record_id in enumerate(ids):
        storage.reads.clear()
        found = find_record(storage, manifest, record_id)
        assert found.recordId == record_id
        assert found.body.startswith(b'{"n":%d,' % n)
        assert 1 <= len(storage.reads) <= 2


def test_an_id_that_is_nowhere_is_said(tmp_path: Path) -> None:
    """A form that no id has, and an id that no record has: its shards alone are read."""
    ids = [record_ids.encode(n) for n in range(40)]
    storage, manifest = prepared(tmp_path, 4, ids)
    with pytest.raises(RunFolderError, match=r"'T-1': is not a record id"):
        find_record(storage, manifest, "T-1")
    with pytest.raises(RunFolderError, match="has no record 0000000zzzz; its row may be rejected"):
        find_record(storage, manifest, "0000000zzzz")
    assert len(storage.reads) == 2
