"""The notes of where a run was published: none is lost, and two publishers cannot both write."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.errors import RunFolderError, RunHeldError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import CONTROL, PUBLISH, STOP, Lease
from bedrock_spark.run_folder.published import DONE, WRITING, Publication, Publications
from bedrock_spark.storage import LocalStorage
from tests.unit.fakes import FakeClock

NOTE = Publication("append", WRITING, "abc")


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path))


def test_notes_are_kept_by_place(storage: LocalStorage) -> None:
    """The last one of a place replaces the one before."""
    notes = Publications(storage)
    assert notes.at("/a") is None
    notes.note("/a", NOTE)
    notes.note("/ä", Publication("overwrite", WRITING, "abc"))
    notes.note("/a", Publication("append", DONE, "abc", is_marked=True))
    again = Publications(storage)
    assert again.at("/a") == Publication("append", DONE, "abc", is_marked=True)
    assert again.at("/ä") == Publication("overwrite", WRITING, "abc")


def test_places_have_the_finished_results(storage: LocalStorage) -> None:
    """Not those that were published before they were final, nor half of them."""
    notes = Publications(storage)
    notes.note("/final", Publication("overwrite", DONE, "abc"))
    notes.note("/partial", Publication("overwrite", DONE, "abc", is_partial=True))
    notes.note("/begun", Publication("overwrite", WRITING, "abc"))
    assert Publications(storage).places() == ("/final",)


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_publishers_that_read_the_same_notes_one_is_refused(
    storage: LocalStorage, is_first: bool
) -> None:
    """Also if there were no notes: both writes are conditional."""
    if not is_first:
        Publications(storage).note("/z", NOTE)
    one, two = Publications(storage), Publications(storage)
    one.note("/a", NOTE)
    with pytest.raises(RunHeldError, match="another process publishes"):
        two.note("/a", NOTE)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"/a": 1}', b'{"/a": {"state": "done"}}'])
def test_damaged_notes_are_an_error(storage: LocalStorage, damage: bytes) -> None:
    """Without them, rows could be appended twice."""
    storage.write(layout.PUBLISHED_FILE, damage)
    with pytest.raises(RunFolderError, match="cannot be read"):
        Publications(storage)


@pytest.mark.parametrize("other", [CONTROL, STOP])
def test_publishing_excludes_publishers_only(
    storage: LocalStorage, clock: FakeClock, other: str
) -> None:
    """A large table takes hours to write: the batch jobs are controlled meanwhile."""
    with Lease(storage, clock, PUBLISH), Lease(storage, clock, other):
        with pytest.raises(RunHeldError, match="is being published by"):
            Lease(storage, clock, PUBLISH).acquire()
        with pytest.raises(RunHeldError):
            Lease(storage, clock, other).acquire()


def test_a_publisher_that_lost_its_lease_learns_who_has_it(
    storage: LocalStorage, clock: FakeClock
) -> None:
    """The message names the other publisher, not the controller of the run."""
    first, second = Lease(storage, clock, PUBLISH), Lease(storage, clock, PUBLISH)
    Lease(storage, clock).acquire()
    first.acquire()
    clock.time += 10_000
    second.acquire()
    with pytest.raises(RunHeldError, match="is being published by"):
        first.renew_if_due()
