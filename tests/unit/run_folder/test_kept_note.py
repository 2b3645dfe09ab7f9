"""The note of what was added to the store: what it says counts only for the same outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.kept_note import KeptNote, read_kept_note, write_kept_note
from bedrock_spark.storage import LocalStorage

STORE = "s3://lake/answers"
NOTE = KeptNote(STORE, 7, 2, {"shard-00000-00": "f1"}, ("ok",))


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    """That of another store says nothing about this one."""
    storage = LocalStorage(str(tmp_path))
    assert read_kept_note(storage, STORE) == KeptNote(STORE)
    write_kept_note(storage, NOTE)
    assert read_kept_note(storage, STORE) == NOTE
    assert read_kept_note(storage, "s3://lake/others") == KeptNote("s3://lake/others")


@pytest.mark.parametrize(
    ("outcomes", "units"),
    [(("ok",), NOTE.units), (("ok", "truncated"), {}), ((), {})],
)
def test_with_other_outcomes_nothing_counts_as_added(
    outcomes: tuple[str, ...], units: dict[str, str]
) -> None:
    """`answers.keep` may change after the answers are there: what it names now is added, too."""
    note = NOTE.of_outcomes(outcomes)
    assert (note.units, note.outcomes, note.answers) == (units, outcomes, 7)
    assert note.of_outcomes(reversed(outcomes)) == note


@pytest.mark.parametrize("data", [b"no JSON", b"[]", b'{"format":1}', b'{"format":2}'])
def test_a_damaged_note_is_an_error_that_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.write(layout.ANSWERS_FILE, data)
    with pytest.raises(RunFolderError, match=r"delete it, and|has format 2, not 1"):
        read_kept_note(storage, STORE)
