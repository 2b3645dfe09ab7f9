"""The notes of purchases: every fact is noted once, and what is billed is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.purchases import (
    DELETED,
    NEVER_LISTED,
    REFUSED,
    PurchaseNote,
    note_arn,
    note_deleting,
    note_intent,
    note_over,
    note_unlisted,
    open_purchase,
    read_purchases,
    unit_hours,
)
from bedrock_spark.storage import LocalStorage

NOTE = PurchaseNote(1, "bs-r", "token", "m", 3, 1_800_000_000.0)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_a_purchase_is_read_as_it_was_noted(storage: LocalStorage) -> None:
    """Fact by fact, and the first note of a fact counts."""
    assert note_intent(storage, NOTE)
    assert read_purchases(storage) == (NOTE,)
    note_unlisted(storage, 1, 10.0)
    note_unlisted(storage, 1, 20.0)
    note_arn(storage, 1, "arn:x/one", 30.0)
    note_arn(storage, 1, "arn:x/two", 30.0)
    known = replace(NOTE, arns=("arn:x/one", "arn:x/two"), unlisted_since=10.0)
    assert read_purchases(storage) == (known,)
    note_deleting(storage, 1, 40.0)
    assert read_purchases(storage) == (replace(known, is_deleting=True),)
    note_over(storage, 1, DELETED, 50.0)
    note_over(storage, 1, REFUSED, 60.0)
    over = replace(known, is_deleting=True, over_at=50.0, why=DELETED)
    assert read_purchases(storage) == (over,)
    assert (known.may_bill, over.may_bill) == (True, False)


def test_a_number_is_noted_once(storage: LocalStorage) -> None:
    """By two processes at once, too: the second one learns that it must not buy."""
    assert note_intent(storage, NOTE)
    assert not note_intent(storage, replace(NOTE, token="other"))
    assert read_purchases(storage) == (NOTE,)


def test_the_newest_purchase_that_may_bill_is_the_open_one(storage: LocalStorage) -> None:
    assert open_purchase(storage) is None
    notes = [replace(NOTE, number=number) for number in (1, 2, 10)]
    for note in notes:
        note_intent(storage, note)
    assert read_purchases(storage) == tuple(notes)
    for note in reversed(notes):
        assert open_purchase(storage) == note
        note_over(storage, note.number, DELETED, 50.0)
    assert open_purchase(storage) is None


@pytest.mark.parametrize("key", ["0001-intent.json.bak", "notes.json", "x-intent.json", "readme"])
def test_other_files_of_the_folder_are_no_purchases(storage: LocalStorage, key: str) -> None:
    """Nor are facts without an intent: it is noted first."""
    storage.write(f"{layout.PROVISIONED}/{key}", b"no JSON")
    note_arn(storage, 7, "arn:x/one", 30.0)
    assert read_purchases(storage) == ()
    note_intent(storage, NOTE)
    assert read_purchases(storage) == (NOTE,)


@pytest.mark.parametrize(
    ("seconds", "hours"), [(0, 1), (1, 1), (3_600, 1), (3_600.5, 2), (7_200, 2), (86_401, 25)]
)
def test_a_started_hour_counts_whole(seconds: float, hours: int) -> None:
    """For each unit, until it was over, whatever the time is now. A refused one costs nothing."""
    end = NOTE.bought_at + seconds
    assert NOTE.unit_hours(end) == 3 * hours
    over = replace(NOTE, over_at=end, why=DELETED)
    assert over.unit_hours(end + 1e6) == 3 * hours
    for why in (REFUSED, NEVER_LISTED):
        assert replace(over, why=why).unit_hours(end) == 0
    assert unit_hours([NOTE, over, replace(over, why=REFUSED)], end) == 6 * hours
