"""Objects are fetched ahead of their rows and several at once, in groups that bound memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import StorageError
from bedrock_spark.spark.prepare.prefetch import Prefetch
from bedrock_spark.templates.json_values import Unrenderable

MB = 1_000_000


class Store:
    """Returns `size` bytes for every URI, and notes the reads."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.reads: list[str] = []
        self._lock = threading.Lock()

    def read(self, uri: str) -> bytes:
        with self._lock:
            self.reads.append(uri)
        if "gone" in uri:
            raise Unrenderable("names an S3 object that is not there")
        if "down" in uri:
            raise StorageError("SlowDown")
        return uri.encode().ljust(self.size)


URIS = st.lists(st.sampled_from([f"s3://b/{i}" for i in range(12)] + ["s3://b/gone"]), max_size=4)


@given(st.lists(URIS, max_size=12), st.integers(1, 5), st.sampled_from([1, 15, 40, MB]))
def test_every_row_is_in_one_group_and_finds_what_it_needs(
    rows: list[list[str]], threads: int, group_bytes: int
) -> None:
    """In order, for any bounds, with repeated URIs and objects that do not exist."""
    store = Store()
    with Prefetch(store.read, MB, threads, group_bytes) as objects:
        start = 0
        for count in objects.groups(rows, [0] * len(rows)):
            assert count > 0
            for row in rows[start : start + count]:
                for uri in row:
                    if "gone" in uri:
                        with pytest.raises(Unrenderable):
                            objects.fetch(uri)
                    else:
                        assert objects.fetch(uri).strip() == uri.encode()
            start += count
        assert start == len(rows)


def test_a_group_ends_at_its_limit_of_bytes() -> None:
    """Fetched bytes count, and the bytes that rows hold themselves."""
    store = Store(size=10)
    rows = [[f"s3://b/{i}"] for i in range(7)]
    with Prefetch(store.read, MB, 2, group_bytes=30) as objects:
        assert list(objects.groups(rows, [0] * 7)) == [3, 3, 1]
        assert list(objects.groups([[]] * 5, [20] * 5)) == [2, 2, 1]
        assert list(objects.groups([[]] * 3, [99] * 3)) == [1, 1, 1]
        assert list(objects.groups([], [])) == []


def test_an_object_is_read_once_for_a_group() -> None:
    """Even if many rows, and two filters of a row, need it."""
    store = Store()
    with Prefetch(store.read, MB) as objects:
        for _ in objects.groups([["s3://b/k"]] * 9, [0] * 9):
            for _ in range(18):
                objects.fetch("s3://b/k")
    assert store.reads == ["s3://b/k"]


def test_an_object_outside_of_a_group_is_read_when_it_is_fetched() -> None:
    """It is kept until another one is fetched."""
    store = Store()
    with Prefetch(store.read, MB) as objects:
        for uri in ("s3://b/1", "s3://b/1", "s3://b/2", "s3://b/1"):
            assert objects.fetch(uri).strip() == uri.encode()
    assert store.reads == ["s3://b/1", "s3://b/2", "s3://b/1"]


class Gate(Store):
    """Blocks every read until `parties` reads have started."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(parties)

    def read(self, uri: str) -> bytes:
        self._barrier.wait(timeout=20)
        return super().read(uri)


def test_as_many_objects_are_fetched_at_once_as_there_are_threads() -> None:
    """Also objects of later rows: one read after the other would time out at the barrier."""
    store = Gate(4)
    with Prefetch(store.read, MB, threads=4) as objects:
        assert list(objects.groups([[f"s3://b/{i}"] for i in range(8)], [0] * 8)) == [8]
    assert len(store.reads) == 8


def test_no_more_objects_are_read_ahead_than_there_are_threads() -> None:
    """The window is bounded, however slowly the rows are processed."""
    store = Store()
    rows = [[f"s3://b/{i}"] for i in range(100)]
    with Prefetch(store.read, MB, threads=4, group_bytes=1) as objects:
        groups = objects.groups(rows, [0] * 100)
        for done in range(1, 20):
            assert next(groups) == 1
            assert len(store.reads) <= done + 4


def test_a_row_above_its_limit_fetches_no_more_objects() -> None:
    """It will be rejected. The rows after it get their objects as usual."""
    store = Store(size=10)
    rows = [[f"s3://b/{i}" for i in range(1000)], ["s3://b/last"], ["s3://b/one more"]]
    with Prefetch(store.read, max_row_bytes=50, threads=4) as objects:
        assert list(_later_objects(objects, rows)) == [b"s3://b/last", b"s3://b/one more"]
    assert len(store.reads) < 20


def _later_objects(objects: Prefetch, rows: list[list[str]]) -> Iterator[bytes]:
    """Yield the first object of each row but the first."""
    for _ in objects.groups(rows, [0] * len(rows)):
        for row in rows[1:]:
            yield objects.fetch(row[0]).strip()


def test_a_storage_error_is_raised() -> None:
    """By the group that needs the object: it is not the fault of a row."""
    with (
        Prefetch(Store().read, MB, group_bytes=1) as objects,
        pytest.raises(StorageError, match="SlowDown"),
    ):
        list(objects.groups([["s3://b/1"], ["s3://b/down"]], [0, 0]))
