"""Some records of a shard are read by its index; a wrong index costs time and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import StorageError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.records import find_record, first_records
from bedrock_spark.run_folder.shard_records import PIECE_BYTES, read_records
from bedrock_spark.shards.record_ids import encode
from bedrock_spark.storage import LocalStorage, S3Storage, Storage
from tests.unit.indexed_shard import INDEX_KEY, KEY, PREPARE_ID, SHARD, IndexedShard
from tests.unit.moto_s3 import s3_in_process

RECORDS = 40_000


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_in_process() as client:
        yield client


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(str(tmp_path))
    request.getfixturevalue("s3")
    return S3Storage("s3://bucket/run", AwsSettings("us-east-1"))


def test_ten_of_40_000_records_cost_less_than_a_hundredth_of_the_bytes(storage: Storage) -> None:
    """One call for the index, and at most one for each record; all records cost each byte once."""
    shard = IndexedShard(storage, RECORDS, 1_000)
    for seed in range(3):
        shard.storage.calls, shard.storage.bytes = [], 0
        wanted = random.Random(seed).sample(shard.ids, 10)
        found = [record.recordId for record in shard.read(wanted)]
        assert found == sorted(wanted, key=shard.ids.index)
        assert shard.storage.bytes < len(shard.data) / 100
        assert 2 <= len(shard.storage.calls) <= 11
    shard.storage.calls, shard.storage.bytes = [], 0
    records = list(read_records(shard.storage, SHARD, PREPARE_ID, shard.ids))
    assert [record.recordId for record in records] == shard.ids
    assert shard.storage.bytes == len(shard.data) + len(shard.index)
    assert len(shard.storage.calls) <= 2 + len(shard.data) / (PIECE_BYTES * 0.99)


def damage(data: bytes) -> bytes:
    return data[:100] + b"?" + data[101:]


@pytest.mark.parametrize("index", ["missing", "damaged", "of another shard", "shifted"])
def test_whatever_the_index_says_the_records_are_found(
    tmp_path: Path, index: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the whole shard, which may have several pieces; an id without a record is not found."""
    shard = IndexedShard(LocalStorage(str(tmp_path)), 5_000, 2_000)
    assert len(shard.data) > 2 * PIECE_BYTES
    if index == "missing":
        shard.storage.delete([INDEX_KEY])
    elif index == "damaged":
        shard.storage.write(INDEX_KEY, damage(shard.index))
    elif index == "of another shard":
        other = IndexedShard(LocalStorage(str(tmp_path / "other")), 6_000, 2_000)
        shard.storage.write(INDEX_KEY, other.index)
    else:
        shard.storage.write(KEY, b'{"recordId":"00000000000","modelInput":{}}\n' + shard.data)
    wanted = [*shard.ids[::500], encode(3)]
    found = list(read_records(shard.storage, SHARD, PREPARE_ID, wanted))
    assert sorted(record.recordId for record in found) == sorted(shard.ids[::500])
    assert all(record.as_line() in shard.data for record in found)
    assert bool(caplog.messages) == (index != "missing")


@pytest.mark.parametrize("index", ["right", "missing", "of another shard"])
@pytest.mark.parametrize("seed", range(3))
def test_records_of_a_shard_of_several_files_are_read_alike(
    storage: Storage, seed: int, index: str
) -> None:
    """Wherever one file ends and the next begins, also if one has a single record."""
    shard, dice = IndexedShard(storage, 3_000, 600), random.Random(seed)
    lines = set(shard.data.splitlines(keepends=True))
    ends = [0, *accumulate(map(len, shard.data.splitlines(keepends=True)))]
    cuts = [0, *sorted(dice.sample(ends[2:-1], 3)), len(shard.data)]
    cuts.insert(1, ends[1])
    files = [stop - start for start, stop in pairwise(cuts)]
    keys = layout.lines_keys(layout.shard_folder(SHARD, PREPARE_ID), len(files))
    for key, (start, stop) in zip(keys, pairwise(cuts), strict=True):
        storage.write(key, shard.data[start:stop])
    storage.delete([KEY])
    if index == "missing":
        storage.delete([INDEX_KEY])
    elif index == "of another shard":
        storage.write(INDEX_KEY, IndexedShard(storage, 4_000, 600).index)
        storage.delete([KEY])
    for wanted in (dice.sample(shard.ids, 2), shard.ids):
        shard.storage.bytes = 0
        found = list(read_records(shard.storage, SHARD, PREPARE_ID, wanted, files))
        assert sorted(record.recordId for record in found) == sorted(wanted)
        assert lines.issuperset(record.as_line() for record in found)
        is_whole = index != "right" or len(wanted) > 2
        assert is_whole or shard.storage.bytes < len(shard.data) / 10
    listed = Shard(SHARD, 3_000, len(shard.data), "0", prepare_id=PREPARE_ID, files=tuple(files))
    manifest = RunManifest("r", 3_000, "a INT", (listed,), (), PREPARE_ID)
    assert find_record(shard.storage, manifest, shard.ids[-1]).recordId == shard.ids[-1]
    assert [r.recordId for r in first_records(storage, [listed], 1)] == shard.ids[:1]


def test_a_shard_that_does_not_exist_is_an_error(storage: Storage) -> None:
    """With an index, and without."""
    shard = IndexedShard(storage, 2_000, 1_000)
    storage.delete([KEY])
    for _ in range(2):
        with pytest.raises(StorageError, match=KEY):
            shard.read(shard.ids[:3])
        storage.delete([INDEX_KEY])


def test_a_reader_that_stops_early_ends_its_threads(tmp_path: Path) -> None:
    """The fallback stops at a deadline, or if it loses its claim."""
    shard = IndexedShard(LocalStorage(str(tmp_path)), 5_000, 2_000)
    records = read_records(shard.storage, SHARD, PREPARE_ID, shard.ids)
    assert next(iter(records)).recordId == shard.ids[0]
    records.close()  # type: ignore[attr-defined]
    calls = len(shard.storage.calls)
    assert calls <= 6
    assert list(records) == []
    assert len(shard.storage.calls) == calls


def test_a_record_of_a_run_is_found_by_its_id_in_a_few_bytes(tmp_path: Path) -> None:
    """As `bedrock-spark invoke` reads it; also where the index does not lead to it."""
    shard = IndexedShard(LocalStorage(str(tmp_path)), 5_000, 1_000)
    listed = Shard(SHARD, 5_000, len(shard.data), "0" * 64, prepare_id=PREPARE_ID)
    manifest = RunManifest("r", 5_000, "a INT", (listed,), (), PREPARE_ID)
    record = find_record(shard.storage, manifest, shard.ids[77])
    assert record.recordId == shard.ids[77]
    assert shard.storage.bytes < len(shard.data) / 50
    shard.storage.write(KEY, b'{"recordId":"00000000000","modelInput":{}}\n' * 300 + shard.data)
    assert find_record(shard.storage, manifest, shard.ids[77]).recordId == shard.ids[77]
