"""Which answers of a run its store has already: a shard that was collected again adds the others.

An answer is the same if its record, its time and its outcome are.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.read import OpenAnswers
from bedrock_spark.answers.store import AnswersFile
from bedrock_spark.answers.table import ANSWERED_AT, BODY_HASH, OUTCOME, RUN_ID
from bedrock_spark.storage import Storage

_COLUMNS = [BODY_HASH, ANSWERED_AT, OUTCOME]
# Hash and time are 8 bytes each, an outcome has at most 9 letters.
_DTYPE = np.dtype("S32")


class EarlierAnswers:
    """The answers of a run in some files of its store, with hashes from `first` to `last`.

    Memory holds 32 bytes for each. Raises AnswerStoreError if a file is damaged.
    """

    def __init__(
        self, store: Storage, files: Sequence[AnswersFile], run_id: str, first: int, last: int
    ) -> None:
        found = [np.zeros(0, _DTYPE)]
        for file in files:
            if file.has_part_of(first, last):
                with closing(OpenAnswers(store, file)) as opened:
                    for group in opened.groups_of(first, last):
                        table = opened.read(group.number, [*_COLUMNS, RUN_ID])
                        own = pc.equal(table.column(RUN_ID).cast(pa.string()), run_id)
                        found.append(_names_of(table.filter(own)))
        self._names = np.unique(np.concatenate(found))

    def without(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that are not among them. rows: in the columns of the store"""
        if not len(self._names):
            return rows
        names = _names_of(pa.Table.from_batches([rows.select(_COLUMNS)]))
        return rows.filter(pa.array(~np.isin(names, self._names)))


def _names_of(table: pa.Table) -> npt.NDArray[np.bytes_]:
    """Return a name of 32 bytes for each answer."""
    made = np.zeros((table.num_rows, 32), np.uint8)
    hashes = table.column(BODY_HASH).to_numpy()
    times = pc.fill_null(table.column(ANSWERED_AT).cast(pa.timestamp("us", "UTC")), 0)
    made[:, :8] = hashes.astype("<i8").view(np.uint8).reshape(-1, 8)
    made[:, 8:16] = times.cast(pa.int64()).to_numpy().astype("<i8").view(np.uint8).reshape(-1, 8)
    outcomes = pc.fill_null(table.column(OUTCOME).cast(pa.string()), "").to_pylist()
    made[:, 16:] = np.array(outcomes, "S16").view(np.uint8).reshape(-1, 16)
    return made.reshape(-1).view(_DTYPE)
