"""Merge files of answers: a k-way merge of sorted files, row group by row group.

https://en.wikipedia.org/wiki/K-way_merge_algorithm. Memory holds a row group of each file.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import LOWEST, AnswersFile
from bedrock_spark.answers.table import (
    ANSWERED_AT,
    BODY_HASH,
    FILE_BYTES,
    OUTCOME,
    REQUEST_DIGEST,
    SCHEMA,
    write_answers,
)
from bedrock_spark.errors import AnswerStoreError
from bedrock_spark.storage import Storage


def merge_files(
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
