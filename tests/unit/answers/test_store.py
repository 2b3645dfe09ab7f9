"""The list of a store's files: formats, compactions, several writers."""

from __future__ import annotations

import io
import json
from itertools import pairwise, permutations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark.answers import compact as compaction
from bedrock_spark.answers import merge, table
from bedrock_spark.answers.compact import Compacted, compact
from bedrock_spark.answers.store import (
    DELETE_AFTER_SECONDS,
    AnswersFile,
    Compaction,
    _without_replaced,
    begin_store,
    compactions_of,
    pin_files,
    with_merged,
)
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.errors import AnswerStoreError
from bedrock_spark.storage import LocalStorage, Storage
from tests.unit.answers.rows import ELSEWHERE, HERE, answer, found, store_at, write
from tests.unit.fakes import FakeClock

NOW = 1_000_000.0


def found_in_both(storage: Storage) -> list[tuple[dict[str, str], dict[str, int]]]:
    """Return what is found of the bodies a to d in each context."""
    return [found(storage, list("abcd"), contexts=(context,)) for context in (HERE, ELSEWHERE)]


def test_a_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path / "none"))
    assert pin_files(storage) == ()
    assert found(storage, ["q"]) == ({}, {"new": 1})
    assert not (tmp_path / "none").exists()


def test_two_processes_may_begin_a_store(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    begin_store(storage)
    assert json.loads(storage.read("store.json")) == {"format": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [(b'{"format": 2}', "has format 2"), (b"[]", "does not describe"), (b"", "does not describe")],
)
def test_a_store_of_another_format_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    storage = store_at(tmp_path)
    storage.write("store.json", data)
    for use in (pin_files, begin_store):
        with pytest.raises(AnswerStoreError, match=message):
            use(storage)


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each has files of its own; the same answer twice does no harm."""
    storage = store_at(tmp_path)
    write(storage, [answer("a"), answer("b")], label="run-1")
    write(storage, [answer("b"), answer("c")], label="run-2")
    assert sorted(found(storage, list("abcd"))[0]) == ["a", "b", "c"]


def test_a_reader_with_a_pinned_list_sees_no_later_file(tmp_path: Path) -> None:
    """So a task that is repeated finds the same answers."""
    storage = store_at(tmp_path)
    write(storage, [answer("a")])
    pinned = pin_files(storage)
    write(storage, [answer("b")], label="later")
    compact(storage, FakeClock(NOW))
    assert sorted(found(storage, list("ab"), files=pinned)[0]) == ["a"]
    assert sorted(found(storage, list("ab"))[0]) == ["a", "b"]


def test_a_repeated_write_leaves_one_file(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    first = write(storage, [answer("a")])
    assert write(storage, [answer("a")]) == first
    assert len(pin_files(storage)) == 1


def test_compaction_merges_files_and_drops_older_answers(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer(b, "old", at=1) for b in "abcd"], label="run-1")
    write(storage, [answer(b, "new", at=2) for b in "bc"], label="run-2")
    write(storage, [answer("b", "theirs", context=ELSEWHERE)], label="run-3")
    write(storage, [answer("a", "cut", at=3, outcome="truncated")], label="run-4")
    before = found_in_both(storage)
    assert compact(storage, FakeClock(NOW)) == Compacted(merged=4, written=1, answers=8, kept=6)
    after = found_in_both(storage)
    assert after == before
    assert after[0][0] == {"a": "old", "b": "new", "c": "new", "d": "old"}
    assert len(pin_files(storage)) == 1


def test_merged_files_are_cut_and_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GROUP_ROWS", 16)
    storage = store_at(tmp_path)
    for number in range(5):
        rows = [answer(f"{n}", f"a{n}", hashed=n * 7919 % 1_000) for n in range(number, 300, 5)]
        write(storage, rows, label=f"run-{number}")
    bytes_before = sum(file.size for file in pin_files(storage))
    monkeypatch.setattr(merge, "FILE_BYTES", bytes_before // 3)
    monkeypatch.setattr(compaction, "SMALL_BYTES", bytes_before)
    done = compact(storage, FakeClock(NOW))
    files = pin_files(storage)
    assert (done.answers, done.kept, done.written) == (300, 300, len(files))
    assert len(files) >= 3
    for before, after in pairwise(files):
        assert before.last <= after.first


def test_replaced_files_are_deleted_when_no_reader_is_left(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a")], label="run-1")
    write(storage, [answer("b")], label="run-2")
    compact(storage, FakeClock(NOW))
    assert len(storage.list("answers/")) == 3
    assert compact(storage, FakeClock(NOW + DELETE_AFTER_SECONDS)).deleted == 0
    assert len(storage.list("answers/")) == 3
    assert compact(storage, FakeClock(NOW + DELETE_AFTER_SECONDS + 1)).deleted == 2
    assert len(storage.list("answers/")) == 1
    assert not storage.list("compactions/")
    assert sorted(found(storage, list("ab"))[0]) == ["a", "b"]


def test_compactions_of_compactions(tmp_path: Path) -> None:
    """Each is noted, and the notes are deleted in time."""
    storage = store_at(tmp_path)
    for number in range(6):
        write(storage, [answer(str(number))], label=f"run-{number}")
        compact(storage, FakeClock(NOW + number))
    assert len(pin_files(storage)) == 1
    assert len(found(storage, list("012345"))[0]) == 6
    compact(storage, FakeClock(NOW + 2 * DELETE_AFTER_SECONDS))
    assert len(storage.list("answers/")) == 1
    assert not storage.list("compactions/")
    assert len(found(storage, list("012345"))[0]) == 6


def test_notes_count_whatever_their_order_by_time(tmp_path: Path) -> None:
    """A compaction in several steps has one time, and another clock may be behind."""
    storage = store_at(tmp_path)
    first = write(storage, [answer("a")], label="run-1")
    second = write(storage, [answer("b")], label="run-2")
    chain = [
        Compaction("compactions/3", NOW + 2, ("answers/m1",), (first.key, second.key)),
        Compaction("compactions/2", NOW + 1, ("answers/m2",), ("answers/m1", "answers/c")),
        Compaction("compactions/1", NOW, ("answers/m3",), ("answers/m2", "answers/d")),
    ]
    last = AnswersFile("answers/m3", 1)
    copied = {first.key, second.key, "answers/c", "answers/d"}
    for notes in permutations(chain):
        assert _without_replaced([first, second, last], notes) == (last,)
        assert "answers/m3" in with_merged(copied, notes)
        assert "answers/m3" not in with_merged(copied - {"answers/c"}, notes)


def test_a_note_that_is_deleted_while_the_store_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that it replaced are gone, too: they are not in the list."""
    storage = store_at(tmp_path)
    write(storage, [answer("a")], label="run-1")
    write(storage, [answer("b")], label="run-2")
    compact(storage, FakeClock(NOW))
    own = LocalStorage.read_if_present

    def late(self: LocalStorage, key: str) -> bytes | None:
        if key.startswith("compactions/"):
            monkeypatch.setattr(LocalStorage, "read_if_present", own)
            compact(self, FakeClock(NOW + DELETE_AFTER_SECONDS + 1))
        return own(self, key)

    monkeypatch.setattr(LocalStorage, "read_if_present", late)
    pinned = pin_files(storage)
    assert [file.key for file in pinned] == [stored.key for stored in storage.list("answers/")]
    assert sorted(found(storage, list("ab"), files=pinned)[0]) == ["a", "b"]
    monkeypatch.setattr(LocalStorage, "read_if_present", late)
    assert compactions_of(storage) == []


def test_two_compactions_at_once_leave_duplicates_only(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a")], label="run-1")
    write(storage, [answer("b")], label="run-2")
    files = pin_files(storage)
    for _ in range(2):
        merged, _, _ = merge.merge_files(storage, files, NOW)
        compaction.note_compaction(storage, NOW, [f.key for f in merged], [f.key for f in files])
    assert len(pin_files(storage)) == 2
    assert sorted(found(storage, list("ab"))[0]) == ["a", "b"]


def test_merged_files_that_were_deleted_replace_nothing(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a")], label="run-1")
    write(storage, [answer("b")], label="run-2")
    compact(storage, FakeClock(NOW))
    storage.delete([file.key for file in pin_files(storage)])
    assert sorted(found(storage, list("ab"))[0]) == ["a", "b"]
    compact(storage, FakeClock(NOW + DELETE_AFTER_SECONDS + 1))
    assert sorted(found(storage, list("ab"))[0]) == ["a", "b"]


def test_a_damaged_note_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    storage.write("compactions/000000000000001-x.json", b"{")
    with pytest.raises(AnswerStoreError, match="delete it"):
        pin_files(storage)


def test_one_file_is_not_merged(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    write(storage, [answer("a")])
    assert compact(storage, FakeClock(NOW)) == Compacted()


def test_a_file_of_another_tool_that_is_not_sorted_stays_as_it_is(tmp_path: Path) -> None:
    """It stops no compaction of the others, and its answers are found."""
    storage = store_at(tmp_path)
    write(storage, [answer("a", "one")], label="run-1")
    write(storage, [answer("b", "two")], label="run-2")
    rows = [answer(body, "theirs") for body in "cdefgh"]
    rows.sort(key=lambda row: -row["body_hash"])
    theirs = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), theirs, row_group_size=2)
    storage.write("answers/theirs.parquet", theirs.getvalue())
    assert compact(storage, FakeClock(NOW)) == Compacted(merged=2, written=1, answers=2, kept=2)
    assert "answers/theirs.parquet" in {file.key for file in pin_files(storage)}
    texts, _ = found(storage, list("abcdefgh"))
    assert texts == {"a": "one", "b": "two", **dict.fromkeys("cdefgh", "theirs")}


def test_a_row_without_a_hash_spoils_no_other(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    rows = [answer(body, body) for body in "abc"] + [{**answer("d", "d"), "body_hash": None}]
    theirs = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), theirs)
    storage.write("answers/theirs.parquet", theirs.getvalue())
    assert found(storage, list("abcd"))[0] == {"a": "a", "b": "b", "c": "c"}
