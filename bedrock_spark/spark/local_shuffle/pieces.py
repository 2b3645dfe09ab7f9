"""The files of the local shuffle: rows in the order of bucket and hash, merged bucket by bucket.

A task puts some megabytes of rows in order at a time. It writes one Arrow batch for each bucket, a
piece, whose rows are in the order of their hashes (the IPC file format,
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format). Pieces are not compressed: they
are mapped into memory and not copied. A bucket without rows has an empty piece, so the number of a
piece tells its bucket.

To read a bucket is a merge (https://en.wikipedia.org/wiki/K-way_merge_algorithm) of its pieces.
Only their hashes are sorted as a whole: 8 bytes a row. Rows are gathered in batches of some
megabytes.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.spark.prepare.columns import HASH

# The bytes of a batch of merged rows.
_BATCH_BYTES = 4_000_000
# After as many bytes of merged rows, no page of the files stays in this process.
_MAPPED_BYTES = 64_000_000
_ENDING = ".arrow"


class PieceWriter:
    """Writes one file of the shuffle, which appears when all is written.

    path: of the file, without its ending
    schema: of the rows, without their hashes
    """

    def __init__(self, path: Path, schema: pa.Schema, buckets: int) -> None:
        self._path, self._buckets = path, buckets
        self._schema = pa.schema([pa.field(HASH, pa.int64()), *schema])
        # Spark may try a task again, or twice at once.
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        self._file = pa.OSFile(str(self._temporary), "wb")
        self._writer = pa.ipc.new_file(self._file, self._schema)

    def __enter__(self) -> PieceWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._file.close()
        if kind is None:
            self._temporary.replace(self._path.with_name(f"{self._path.name}{_ENDING}"))
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, batch: pa.RecordBatch, hashes: npt.NDArray[np.int64]) -> None:
        """Write some rows. They are in memory: the more there are, the fewer pieces are merged."""
        buckets = buckets_of(hashes, self._buckets)
        order = np.lexsort((hashes, buckets))
        starts = np.searchsorted(buckets[order], np.arange(self._buckets + 1)).tolist()
        for start, stop in pairwise(starts):
            places = order[start:stop]
            taken = batch.take(pa.array(places))
            columns = [pa.array(hashes[places]), *taken.columns]
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))


def merged_rows(folder: Path, bucket: int, buckets: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a bucket in the order of their hashes, with the column HASH first.

    buckets: how many there are
    folder: has the files of the shuffle, and no other. Which of two rows with one hash comes first
        depends on how the source is stored
    """
    files = [_File(path) for path in sorted(folder.glob(f"*{_ENDING}"))]
    pieces = [piece for file in files for piece in file.pieces(bucket, buckets)]
    if not pieces:
        return
    lengths = np.array([piece.num_rows for piece in pieces])
    hashes = np.concatenate([piece.column(HASH).to_numpy() for piece in pieces])
    order = np.argsort(hashes, kind="stable")
    del hashes
    first_rows = np.cumsum(lengths) - lengths
    # Of each row, in the order of the hashes: its piece.
    piece_of = np.repeat(np.arange(len(pieces)), lengths)[order]
    size = sum(piece.nbytes for piece in pieces)
    rows = max(1, len(order) * _BATCH_BYTES // max(1, size))
    # How many rows of each piece are behind: these are its first ones.
    behind = np.zeros(len(pieces), np.int64)
    gathered = 0
    for start in range(0, len(order), rows):
        of_batch = piece_of[start : start + rows]
        counts = np.bincount(of_batch, minlength=len(pieces))
        used = np.flatnonzero(counts)
        parts = [pieces[n].slice(behind[n], counts[n]) for n in used]
        together = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
        # A row's place in its piece becomes its place among these rows.
        moved = np.cumsum(counts) - counts - behind - first_rows
        places = order[start : start + rows] + moved[of_batch]
        taken = together.take(pa.array(places))
        del parts, together
        gathered += taken.nbytes
        if gathered > _MAPPED_BYTES:
            gathered = 0
            for file in files:
                file.unload()
        yield taken
        behind += counts


class _File:
    """A file of the shuffle, mapped into memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as opened:
            self._mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
        self._rows = pa.ipc.open_file(pa.py_buffer(self._mapped))

    def pieces(self, bucket: int, buckets: int) -> Iterator[pa.RecordBatch]:
        """Yield the pieces of a bucket that have rows."""
        for number in range(bucket, self._rows.num_record_batches, buckets):
            piece = self._rows.get_batch(number)
            if piece.num_rows:
                yield piece

    def unload(self) -> None:
        """Let this process hold no page of the file. What is read again comes from the disk cache.

        The pages would count as memory of this process, up to the whole bucket.
        """
        self._mapped.madvise(mmap.MADV_DONTNEED)
