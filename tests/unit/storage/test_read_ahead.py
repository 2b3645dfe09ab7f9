"""Reads that run ahead: the same bytes in the same order, and never more than a few at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import StorageError
from bedrock_spark.storage import LineReader, LocalStorage, StoredObject, read_ahead
from bedrock_spark.storage.read_ahead import BYTES_AHEAD, MOST_READS_AHEAD, READS_AHEAD


class Remote:
    """A store whose reads wait until `may_read` is set. `begun`: the keys of reads that began."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.begun: list[str] = []
        self.most = 0
        self.may_read = threading.Event()
        self.may_read.set()
        self._running = 0
        self._lock = threading.Lock()

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        with self._lock:
            self.begun.append(key)
            self._running += 1
            self.most = max(self.most, self._running)
            self.note_begun()
        assert self.may_read.wait(60)
        with self._lock:
            self._running -= 1
        if key not in self.objects:
            raise StorageError(f"{key}: there is no such object")
        return self.objects[key][start:stop]

    def note_begun(self) -> None:
        """Called when a read has begun."""

    def listed(self) -> list[StoredObject]:
        return [StoredObject(key, len(data), "v") for key, data in self.objects.items()]


class Together(Remote):
    """A store whose reads wait until `count` of them have begun."""

    def __init__(self, objects: dict[str, bytes], count: int) -> None:
        super().__init__(objects)
        self.may_read.clear()
        self._count = count

    def note_begun(self) -> None:
        if self._running >= self._count:
            self.may_read.set()


OBJECTS = st.lists(st.lists(st.sampled_from([b"", b"a", b"bc" * 20, b"d" * 90]), max_size=5))


@given(OBJECTS, st.integers(1, 100))
def test_lines_are_read_whole_whatever_the_pieces_are(
    contents: list[list[bytes]], size: int
) -> None:
    """Of each object: also if a line is longer than a piece, and if the last has no newline."""
    objects = {f"k{n}": b"\n".join(lines) for n, lines in enumerate(contents)}
    storage: Any = Remote(objects)
    reader = LineReader(storage, storage.listed(), size)
    for stored in storage.listed():
        pieces = list(reader.whole_lines(stored))
        assert b"".join(pieces) == objects[stored.key]
        assert all(piece.endswith(b"\n") for piece in pieces[:-1])
        assert all(len(piece) <= size + 2 * 90 for piece in pieces)
    assert storage.most <= MOST_READS_AHEAD


def test_a_local_object_has_the_same_lines(tmp_path: Path) -> None:
    """Without threads: the operating system reads ahead."""
    storage = LocalStorage(str(tmp_path))
    storage.write("a", b"one\ntwo\nthree")
    storage.write("b", b"")
    storage.write("c", b"four\n")
    listed = storage.list("")
    reader = LineReader(storage, listed, 5)
    before = threading.active_count()
    lines = [b"".join(reader.whole_lines(stored)) for stored in listed]
    assert lines == [b"one\ntwo\nthree", b"", b"four\n"]
    assert threading.active_count() == before


def test_later_objects_are_read_while_the_first_is_worked_on() -> None:
    """Many small files cost the latency of a few."""
    storage: Any = Remote({f"k{n}": b"x\n" for n in range(20)})
    storage.may_read.clear()
    reader = LineReader(storage, storage.listed(), 10)
    threading.Timer(0, storage.may_read.set).start()
    first, *others = storage.listed()
    assert list(reader.whole_lines(first)) == [b"x\n"]
    assert len(storage.begun) > 1
    assert [b"".join(reader.whole_lines(stored)) for stored in others] == [b"x\n"] * 19
    assert sorted(storage.begun) == sorted(storage.objects)


def test_a_reader_that_is_closed_begins_no_more_reads() -> None:
    """Those that run are waited for: no thread is left."""
    storage: Any = Remote({f"k{n}": b"x\n" for n in range(20)})
    reader = LineReader(storage, storage.listed(), 10)
    assert list(reader.whole_lines(storage.listed()[0])) == [b"x\n"]
    reader.close()
    begun = len(storage.begun)
    assert begun <= MOST_READS_AHEAD + 1
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]
    LineReader(storage, storage.listed(), 10).close()
    assert len(storage.begun) <= begun + MOST_READS_AHEAD
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_a_reader_begins_before_anybody_reads() -> None:
    """So the first pieces are here when what comes before them is done."""
    has_begun = threading.Event()

    class Noticed(Remote):
        def read_range(self, key: str, start: int, stop: int) -> bytes:
            has_begun.set()
            return super().read_range(key, start, stop)

    storage: Any = Noticed({"a": b"1\n"})
    reader = LineReader(storage, storage.listed(), 10)
    assert has_begun.wait(60)
    reader.close()


def test_objects_are_read_in_the_order_that_was_told() -> None:
    """Another order is a fault of the caller, and no line is lost silently."""
    storage: Any = Remote({"a": b"1\n", "b": b"2\n"})
    reader = LineReader(storage, storage.listed(), 10)
    with pytest.raises(ValueError, match="b was read before the end of a"):
        list(reader.whole_lines(storage.listed()[1]))
    reader.close()


def test_an_object_that_is_gone_is_an_error_when_its_turn_comes() -> None:
    """The objects before it are read."""
    storage: Any = Remote({"a": b"1\n"})
    pieces = read_ahead(storage, [("a", 0, 2), ("gone", 0, 5), ("a", 0, 2)])
    assert next(pieces) == ("a", b"1\n")
    with pytest.raises(StorageError, match="gone: there is no such object"):
        next(pieces)


@pytest.mark.parametrize(
    ("sizes", "ahead"),
    [
        ([1] * 50, MOST_READS_AHEAD),
        ([BYTES_AHEAD // 8] * 50, 8),
        ([BYTES_AHEAD] * 50, READS_AHEAD),
        ([1] * 6 + [BYTES_AHEAD] * 50, 6),
        ([1] * 3, 3),
    ],
)
def test_small_pieces_are_read_many_at_once_and_large_ones_a_few(
    sizes: list[int], ahead: int
) -> None:
    """The bytes of the pieces bound the memory; of far records, the latency counts, not bytes."""
    storage: Any = Together({"a": b""}, ahead)
    pieces = read_ahead(storage, [("a", 0, size) for size in sizes])
    assert sum(1 for _ in pieces) == len(sizes)
    assert storage.most == ahead
