"""The note of what a table has of a store: what is merged, and what is killed in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.answers.compact import compact
from bedrock_spark.answers.copies import copy_key, copy_state, forget_copies, note_copied
from bedrock_spark.answers.store import COMPACTIONS, DELETE_AFTER_SECONDS
from bedrock_spark.errors import AnswerStoreError
from bedrock_spark.storage import Storage
from tests.unit.answers.rows import answer, store_at, write
from tests.unit.fakes import FakeClock

TABLE = "lake.support.answers"


def missing(storage: Storage, table: str = TABLE) -> list[str]:
    return [file.key for file in copy_state(storage, table).missing]


def copy_all(storage: Storage, table: str = TABLE) -> None:
    state = copy_state(storage, table)
    note_copied(storage, table, state, [file.key for file in state.missing])


def test_what_was_copied_is_not_missing(tmp_path: Path) -> None:
    """Each table has a note of its own; one that is gone has nothing."""
    storage = store_at(tmp_path)
    assert missing(storage) == []
    first = write(storage, [answer("a")])
    assert missing(storage) == [first.key]
    copy_all(storage)
    second = write(storage, [answer("b")], at=1.0, label="run-2")
    assert missing(storage) == [second.key]
    assert missing(storage, "other") == [first.key, second.key]
    forget_copies(storage, TABLE)
    assert missing(storage) == [first.key, second.key]


def test_two_processes_that_copy_lose_no_note(tmp_path: Path) -> None:
    storage = store_at(tmp_path)
    first = write(storage, [answer("a")])
    before = copy_state(storage, TABLE)
    second = write(storage, [answer("b")], at=1.0, label="run-2")
    note_copied(storage, TABLE, copy_state(storage, TABLE), [second.key])
    note_copied(storage, TABLE, before, [first.key])
    # The other one's file is unknown to `before`, so it is merged once more, which adds nothing.
    assert missing(storage) == [second.key]
    copy_all(storage)
    assert missing(storage) == []


def test_merged_files_of_copied_ones_are_copied(tmp_path: Path) -> None:
    """Also if they were merged once more, and if what they replace is deleted."""
    storage = store_at(tmp_path)
    for number in range(3):
        write(storage, [answer(str(number))], at=float(number), label=f"run-{number}")
    copy_all(storage)
    compact(storage, FakeClock(10.0))
    assert missing(storage) == []
    write(storage, [answer("later")], at=11.0, label="later")
    compact(storage, FakeClock(12.0))
    assert len(missing(storage)) == 1, "it has an answer that was not copied"
    copy_all(storage)
    compact(storage, FakeClock(13.0 + DELETE_AFTER_SECONDS))
    assert storage.list(f"{COMPACTIONS}/") == []
    assert missing(storage) == []
    assert len(copy_state(storage, TABLE).copied) == 1, "files that are gone are forgotten"


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"format": 2, "files": []}'])
def test_a_damaged_note_is_an_error(tmp_path: Path, data: bytes) -> None:
    storage = store_at(tmp_path)
    storage.write(copy_key(TABLE), data)
    with pytest.raises(AnswerStoreError, match="is not the note of what was copied"):
        missing(storage)
