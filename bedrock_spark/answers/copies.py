"""Which files of a store have been copied into a table: one note for each table.

    <uri>/copies/<digest of the table's name>.json    {"format": 1, "table": …, "files": […]}

A file is noted after its answers are in the table. So a process that dies in between leaves a file
that is copied once more, by a merge that adds nothing. A file that a compaction has written holds
what its note says; if all of that was copied, so was the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from bedrock_spark.answers.store import AnswersFile, compactions_of, pin_files, with_merged
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import AnswerStoreError, ObjectChangedError
from bedrock_spark.storage import Storage

FORMAT = 1
COPIES = "copies"
_NAME_DIGITS = 16


@dataclass(frozen=True)
class CopyState:
    """What of a store a table has.

    missing: the files that it lacks, the oldest first
    copied: the keys of those that it has
    known: the keys of all files that the store has, or had before a compaction that it knows
    """

    missing: tuple[AnswersFile, ...]
    copied: frozenset[str]
    known: frozenset[str]


def copy_state(storage: Storage, table: str) -> CopyState:
    """Return what of a store a table has.

    table: its name, complete with catalog and database, or its path
    Raises AnswerStoreError if the note, or the store, is damaged.
    """
    # Compactions are read first: what they replace later is then among the pinned files.
    notes = compactions_of(storage)
    pinned = pin_files(storage)
    copied = with_merged(_read(storage, table)[0], notes)
    known = {file.key for file in pinned} | {key for note in notes for key in note.replaced}
    missing = sorted((f for f in pinned if f.key not in copied), key=lambda file: file.key)
    return CopyState(tuple(missing), copied & known, frozenset(known))


def note_copied(storage: Storage, table: str, state: CopyState, files: Iterable[str]) -> None:
    """Note that a table has these files, too. What another process has noted stays noted.

    state: as it was before
    """
    mine = state.copied.union(files)
    while True:
        others, version = _read(storage, table)
        try:
            storage.replace(
                copy_key(table), _encoded(table, mine | (others & state.known)), version
            )
        except ObjectChangedError:
            continue
        return


def forget_copies(storage: Storage, table: str) -> None:
    """Note that a table has nothing, because it does not exist any more."""
    files, version = _read(storage, table)
    if files:
        storage.replace(copy_key(table), _encoded(table, ()), version)


def copy_key(table: str) -> str:
    """Return the key of the note about a table."""
    return f"{COPIES}/{hashlib.sha256(table.encode()).hexdigest()[:_NAME_DIGITS]}.json"


def _encoded(table: str, files: Iterable[str]) -> bytes:
    note = {"format": FORMAT, "table": table, "files": sorted(files)}
    return json.dumps(note, indent=1, ensure_ascii=False).encode()


def _read(storage: Storage, table: str) -> tuple[frozenset[str], str | None]:
    """Return the keys that were noted, and the version of the note; None if there is no note."""
    found = storage.read_version(copy_key(table))
    if found is None:
        return frozenset(), None
    try:
        values = json.loads(found[0])
        if values["format"] == FORMAT:
            return frozenset(values["files"]), found[1]
    except (ValueError, KeyError, TypeError) as exc:
        raise _damaged(storage, table) from exc
    raise _damaged(storage, table)


def _damaged(storage: Storage, table: str) -> AnswerStoreError:
    return AnswerStoreError(
        f"{join_uri(storage.uri, copy_key(table))}: is not the note of what was copied into "
        f"{table}; delete it: then the whole store is compared with the table, and what is "
        "there is not added again",
        key=copy_key(table),
    )
