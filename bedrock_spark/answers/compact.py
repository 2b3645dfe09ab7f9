"""Compact a store: merge small files of answers into few large ones, and drop what is superseded.

A k-way merge (https://en.wikipedia.org/wiki/K-way_merge_algorithm) of sorted files. Readers and
writers may go on meanwhile: merged files are new files, and a note says what they replace
(store.py). A later `compact` deletes what was replaced, after DELETE_AFTER_SECONDS.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.compacting import claimed
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
from bedrock_spark.answers.table import (
    ANSWERED_AT,
    BODY_HASH,
    FILE_BYTES,
    OUTCOME,
    REQUEST_DIGEST,
    SCHEMA,
    write_answers,
)
from bedrock_spark.errors import AnswerStoreError, RunHeldError
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


def compact(storage: Storage, now: float) -> Compacted:
    """Merge the small files of a store, and delete files that were replaced long ago.

    now: in seconds since the epoch
    Raises AnswerStoreError if the store, or a file of it, is damaged, and RunHeldError if another
    process compacts it.
    """
    begin_store(storage)
    with claimed(storage, now) as claim:
        deleted = _delete_replaced(storage, now)
        small = [f for f in pin_files(storage) if f.size < SMALL_BYTES and _is_sorted(storage, f)]
        done = Compacted(deleted=deleted)
        for start in range(0, len(small), _MOST_FILES):
            group = small[start : start + _MOST_FILES]
            if len(group) > 1:
                done += _merge_and_note(storage, group, now)[0]
                claim.renew(now)
    return done


def compact_if_many(storage: Storage, now: float) -> Compacted:
    """Merge small files if many of them have the same hashes, and no more than a run can wait for.

    Deletes nothing: `compact` does, so a run needs no right to delete. Does nothing if another
    process compacts the store.
    now: in seconds since the epoch
    Raises AnswerStoreError if the store, or a file that is merged, is damaged.
    """
    files = [f for f in pin_files(storage) if f.size < SMALL_BYTES and f.has_name_of_ours]
    done, left = Compacted(), _MOST_BYTES
    if not _chosen(files, left):
        return done
    try:
        with claimed(storage, now) as claim:
            # The list is read again: another process may just have done it.
            files = [f for f in pin_files(storage) if f.size < SMALL_BYTES and f.has_name_of_ours]
            while group := _chosen(files, left):
                compacted, written = _merge_and_note(storage, group, now)
                done += compacted
                claim.renew(now)
                left -= sum(file.size for file in group)
                new = [file for file in written if file.size < SMALL_BYTES]
                files = [*(file for file in files if file not in group), *new]
    except RunHeldError:
        log.info("%s: another process compacts this store", storage.uri)
    return done


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
    storage: Storage, group: Sequence[AnswersFile], now: float
) -> tuple[Compacted, list[AnswersFile]]:
    """Replace some files by merged ones; return what was done, and the new files."""
    written, before, after = _merge(storage, group, now)
    note_compaction(storage, now, [f.key for f in written], [f.key for f in group])
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


def _is_over(note: Compaction, pinned: set[str]) -> bool:
    """Tell whether a note is no longer needed: none of the files that it replaces is left."""
    return pinned.isdisjoint(note.replaced)


def _merge(
    storage: Storage, files: Sequence[AnswersFile], now: float
) -> tuple[list[AnswersFile], int, int]:
    """Write the answers of some files as new files; return these, and the rows before and after."""
    label = f"merged{secrets.token_hex(4)}"
    written: list[AnswersFile] = []
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(OpenAnswers(storage, file))) for file in files]
        before = sum(group.rows for one in opened for group in one.groups)
        rows_per_file = max(1, before * FILE_BYTES // max(1, sum(file.size for file in files)))
        rows = _Rows(_newest(table) for table in _merged(opened))
        while not rows.is_over:
            file = write_answers(storage, now, label, len(written), rows.take(rows_per_file))
            if file is not None:
                written.append(file)
    return written, before, rows.taken


def _merged(opened: Sequence[OpenAnswers]) -> Iterator[pa.Table]:
    """Yield the rows of all files in the order of hashes, piece by piece."""
    cursors = [_Cursor(one) for one in opened]
    while cursors := [cursor for cursor in cursors if cursor.fill()]:
        # Up to this hash, every file that has more row groups has been read.
        bound = min(cursor.bound for cursor in cursors)
        pieces = [cursor.take_up_to(bound) for cursor in cursors]
        yield pa.concat_tables(pieces)


class _Cursor:
    """A file that is being merged, and its rows that are in memory."""

    def __init__(self, opened: OpenAnswers) -> None:
        self._opened = opened
        self._next = 0
        self._last = LOWEST
        self._table = SCHEMA.empty_table()
        self._hashes: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def fill(self) -> bool:
        """Read the next row group if no row is left; tell whether there are rows."""
        while not len(self._hashes) and self._next < len(self._opened.groups):
            group = self._opened.groups[self._next]
            self._next += 1
            table = self._opened.read(group.number, SCHEMA.names).cast(SCHEMA)
            self._table = table.take(pc.sort_indices(table.column(BODY_HASH)))
            self._hashes = self._table.column(BODY_HASH).to_numpy()
            self._check_order()
        return len(self._hashes) > 0

    def _check_order(self) -> None:
        if len(self._hashes) and self._hashes[0] < self._last:
            key = self._opened.file.key
            raise AnswerStoreError(
                f"{key}: is not sorted by body_hash, so it cannot be merged; write it again sorted",
                key=key,
            )
        self._last = int(self._hashes[-1]) if len(self._hashes) else self._last

    @property
    def bound(self) -> int:
        """Return the last hash in memory: a later row group has no lower one."""
        return int(self._hashes[-1])

    def take_up_to(self, bound: int) -> pa.Table:
        """Return and forget the rows with hashes up to `bound`."""
        stop = int(np.searchsorted(self._hashes, bound, "right"))
        taken = self._table.slice(0, stop)
        self._table, self._hashes = self._table.slice(stop), self._hashes[stop:]
        return taken


def _newest(table: pa.Table) -> pa.Table:
    """Return the newest answer of each request and outcome, in the order of hashes."""
    order = [(name, "ascending") for name in (BODY_HASH, REQUEST_DIGEST, OUTCOME)]
    table = table.take(pc.sort_indices(table, [*order, (ANSWERED_AT, "descending")]))
    if table.num_rows < 2:
        return table
    is_first = np.zeros(table.num_rows, np.bool_)
    is_first[0] = True
    for name, _ in order:
        column = table.column(name).combine_chunks()
        differs = pc.fill_null(pc.not_equal(column[1:], column[:-1]), True)
        is_first[1:] |= differs.to_numpy(zero_copy_only=False)
    return table.filter(pa.array(is_first))


class _Rows:
    """Rows that are taken a number at a time. taken: how many so far"""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self.taken = 0
        self._tables = iter(tables)
        self._rest = SCHEMA.empty_table()
        self._fill()

    @property
    def is_over(self) -> bool:
        """Tell whether no row is left."""
        return not self._rest.num_rows

    def take(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the next `rows` rows, or fewer at the end."""
        while rows and not self.is_over:
            piece, self._rest = self._rest.slice(0, rows), self._rest.slice(rows)
            rows -= piece.num_rows
            self.taken += piece.num_rows
            yield from piece.to_batches()
            self._fill()

    def _fill(self) -> None:
        while self.is_over and (table := next(self._tables, None)) is not None:
            self._rest = table
