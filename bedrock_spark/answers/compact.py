"""Compact a store: merge small files of answers into few large ones, and drop what is superseded.

Readers and writers may go on meanwhile: merged files are new files, and a note says what they
replace (store.py). Whoever dies before the note leaves duplicates, which do no harm, and the old
files. A later compaction deletes what was replaced, after DELETE_AFTER_SECONDS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np

from bedrock_spark.answers.compacting import claimed
from bedrock_spark.answers.merge import merge_files
from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import (
    ANSWERS,
    DELETE_AFTER_SECONDS,
    LOWEST,
    AnswersFile,
    Compaction,
    begin_store,
    compactions_of,
    note_compaction,
    pin_files,
)
from bedrock_spark.answers.table import FILE_BYTES
from bedrock_spark.clock import Clock
from bedrock_spark.errors import RunHeldError, StorageAccessError
from bedrock_spark.storage import Storage

# Files below this size are merged; a file of twice the size is as good as any.
SMALL_BYTES = FILE_BYTES // 2
# Files that are merged at a time: memory holds a row group of each.
_MOST_FILES = 32
# A run merges small files only if MANY_FILES of them cover the same hash. It merges the smallest
# _AT_A_TIME, and reads at most _MOST_BYTES. So each answer is written again only a few times before
# its file is large.
MANY_FILES = 24
_AT_A_TIME = 16
_MOST_BYTES = 1_000_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    merged, written: files; answers, kept: rows in the merged files, and in the written ones
    deleted: files that earlier compactions have replaced
    """

    merged: int = 0
    written: int = 0
    answers: int = 0
    kept: int = 0
    deleted: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        """Return the sum of both."""
        mine, yours = astuple(self), astuple(other)
        return Compacted(*(a + b for a, b in zip(mine, yours, strict=True)))


def compact(storage: Storage, clock: Clock) -> Compacted:
    """Merge the small files of a store, and delete files that were replaced long ago.

    Raises AnswerStoreError if the store, or a file of it, is damaged, and RunHeldError if another
    process compacts it.
    """
    begin_store(storage)
    with claimed(storage, clock) as claim:
        deleted = _delete_replaced(storage, clock.now())
        small = [f for f in pin_files(storage) if f.size < SMALL_BYTES and _is_sorted(storage, f)]
        done = Compacted(deleted=deleted)
        for start in range(0, len(small), _MOST_FILES):
            group = small[start : start + _MOST_FILES]
            if len(group) > 1:
                done += _merge_and_note(storage, group, clock, claim.check)[0]
    return done


def compact_if_many(storage: Storage, clock: Clock) -> Compacted:
    """Merge small files if many of them have the same hashes, and no more than a run can wait for.

    Then also deletes files that were replaced long ago, if it may: a run needs no right to delete.
    Does nothing if another process compacts the store.
    Raises AnswerStoreError if the store, or a file that is merged, is damaged.
    """
    files, done, left = _small_files(storage), Compacted(), _MOST_BYTES
    if not _chosen(files, left):
        return done
    try:
        with claimed(storage, clock) as claim:
            done += Compacted(deleted=_delete_replaced_if_allowed(storage, clock.now()))
            # The list is read again: another process may just have done it.
            files = _small_files(storage)
            while group := _chosen(files, left):
                compacted, written = _merge_and_note(storage, group, clock, claim.check)
                done += compacted
                left -= sum(file.size for file in group)
                new = [file for file in written if file.size < SMALL_BYTES]
                files = [*(file for file in files if file not in group), *new]
    except RunHeldError:
        log.info("%s: another process compacts this store", storage.uri)
    return done


def _small_files(storage: Storage) -> list[AnswersFile]:
    """Return the small files that are known to be sorted."""
    return [f for f in pin_files(storage) if f.size < SMALL_BYTES and f.has_name_of_ours]


def _chosen(files: Sequence[AnswersFile], most_bytes: int) -> list[AnswersFile]:
    """Return the files to merge: the smallest of those that share a hash; none if these are few."""
    together = _deepest(files)
    if len(together) < MANY_FILES:
        return []
    chosen = sorted(together, key=lambda file: (file.size, file.key))[:_AT_A_TIME]
    sizes = np.cumsum([file.size for file in chosen])
    within = chosen[: int(np.searchsorted(sizes, most_bytes, "right"))]
    return within if len(within) > 1 else []


def _deepest(files: Sequence[AnswersFile]) -> list[AnswersFile]:
    """Return the files that have one hash, for the hash that most files have."""
    # At one hash, files begin before others end: both ends are included.
    ends = sorted([(f.first, 0) for f in files] + [(f.last, 1) for f in files])
    depth = most = 0
    deepest = LOWEST
    for at, is_end in ends:
        depth += -1 if is_end else 1
        if depth > most:
            most, deepest = depth, at
    return [file for file in files if file.has_part_of(deepest, deepest)]


def _merge_and_note(
    storage: Storage, group: Sequence[AnswersFile], clock: Clock, check: Callable[[], None]
) -> tuple[Compacted, list[AnswersFile]]:
    """Replace some files by merged ones; return what was done, and the new files.

    check: raises an error if the claim is lost; then the new files are duplicates, and no harm
    """
    written, before, after = merge_files(storage, group, clock.now())
    check()
    note_compaction(storage, clock.now(), [f.key for f in written], [f.key for f in group])
    return Compacted(len(group), len(written), before, after), written


def _is_sorted(storage: Storage, file: AnswersFile) -> bool:
    """Tell whether the row groups of a file follow each other in the order of hashes.

    A file of another tool may not be sorted: it stays as it is, and so do lookups in it.
    """
    if file.has_name_of_ours:
        return True
    with closing(OpenAnswers(storage, file)) as opened:
        groups = opened.groups
    return all(one.last <= next_one.first for one, next_one in pairwise(groups))


def _delete_replaced(storage: Storage, now: float) -> int:
    """Delete the files that old notes replace, and then the notes; return how many files."""
    old = [note for note in compactions_of(storage) if note.at < now - DELETE_AFTER_SECONDS]
    if not old:
        return 0
    pinned = {file.key for file in pin_files(storage)}
    present = {stored.key for stored in storage.list(f"{ANSWERS}/")}
    leaving = sorted(
        key for key in {k for note in old for k in note.replaced} if key in present - pinned
    )
    storage.delete(leaving)
    storage.delete([note.key for note in old if _is_over(note, pinned)])
    return len(leaving)


def _delete_replaced_if_allowed(storage: Storage, now: float) -> int:
    """Delete as `_delete_replaced` does; without the right to delete, say so and delete nothing."""
    try:
        return _delete_replaced(storage, now)
    except StorageAccessError as exc:
        log.info(
            "%s: files that were merged more than %d days ago stay, as this process may not delete "
            "them; `bedrock-spark answers compact` does: %s",
            *(storage.uri, DELETE_AFTER_SECONDS // 86_400, exc),
        )
        return 0


def _is_over(note: Compaction, pinned: set[str]) -> bool:
    """Tell whether a note is no longer needed: none of the files that it replaces is left."""
    return pinned.isdisjoint(note.replaced)
