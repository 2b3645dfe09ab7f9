"""The files of the local shuffle: rows in the order of bucket and hash, merged bucket by bucket.

A file has Arrow batches of a few megabytes (the IPC file format,
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format), not compressed: they are mapped
into memory and not copied. The rows of a batch are in the order of their buckets and, in a bucket,
of their hashes. Beside it, another file has where each bucket begins in each batch (NumPy's .npy).

To read a bucket is a merge (https://en.wikipedia.org/wiki/K-way_merge_algorithm) of its pieces of
all batches. Only their hashes are sorted as a whole: 8 bytes a row. Rows are gathered in batches of
a few megabytes.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.spark.prepare.columns import HASH

# The bytes of a batch in a file, and of a batch of merged rows.
_BATCH_BYTES = 4_000_000
# After as many bytes of merged rows, no page of the files stays in this process.
_MAPPED_BYTES = 64_000_000
_ROWS, _STARTS = ".arrow", ".starts.npy"


class PieceWriter:
    """Writes one file of the shuffle. Its two files appear when all is written.

    path: of the file, without an ending
    schema: of the rows, without their hashes
    """

    def __init__(self, path: Path, schema: pa.Schema, buckets: int) -> None:
        self._path, self._buckets = path, buckets
        self._schema = pa.schema([pa.field(HASH, pa.int64()), *schema])
        # Spark may try a task again, or twice at once.
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        self._starts: list[npt.NDArray[np.int64]] = []
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
        if kind is not None:
            with suppress(FileNotFoundError):
                self._temporary.unlink()
            return
        starts = np.array(self._starts, np.int64).reshape(-1, self._buckets + 1)
        noted = self._temporary.with_suffix(".npy")
        np.save(noted, starts)
        noted.replace(_beside(self._path, _STARTS))
        self._temporary.replace(_beside(self._path, _ROWS))

    def add(self, batch: pa.RecordBatch, hashes: npt.NDArray[np.int64]) -> None:
        """Write some rows. They are in memory: the more there are, the fewer pieces are merged."""
        buckets = buckets_of(hashes, self._buckets)
        order = np.lexsort((hashes, buckets))
        rows = max(1, batch.num_rows * _BATCH_BYTES // max(1, batch.nbytes))
        numbers = np.arange(self._buckets + 1)
        for start in range(0, len(order), rows):
            places = order[start : start + rows]
            taken = batch.take(pa.array(places))
            columns = [pa.array(hashes[places]), *taken.columns]
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
            self._starts.append(np.searchsorted(buckets[places], numbers))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def merged_rows(folder: Path, bucket: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a bucket in the order of their hashes, with the column HASH first.

    folder: has the files of the shuffle, and no other. Which of two rows with one hash comes first
        depends on how the source is stored
    """
    files = [_File(path) for path in sorted(folder.glob(f"*{_ROWS}"))]
    pieces = [piece for file in files for piece in file.pieces(bucket)]
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
        self._starts = np.load(_beside(path.with_suffix(""), _STARTS), mmap_mode="r")

    def pieces(self, bucket: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a bucket in each batch that has any."""
        begins, ends = np.array(self._starts[:, bucket]), np.array(self._starts[:, bucket + 1])
        for number in np.flatnonzero(ends > begins).tolist():
            begin, end = int(begins[number]), int(ends[number])
            yield self._rows.get_batch(number).slice(begin, end - begin)

    def unload(self) -> None:
        """Let this process hold no page of the file. What is read again comes from the disk cache.

        The pages would count as memory of this process, up to the whole bucket.
        """
        self._mapped.madvise(mmap.MADV_DONTNEED)
