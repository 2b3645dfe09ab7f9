"""The hashes of a row group of answers, in order, so that a hash is found without a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class GroupHashes:
    """The hashes of a row group in ascending order. rows: of each; None if they are in order"""

    hashes: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> GroupHashes:
        """Return the hashes of a column, in whatever order it is."""
        # With a null, the hashes would be floats. The digest decides, whatever the hash.
        hashes = pc.fill_null(column, 0).to_numpy()
        if not (hashes[1:] < hashes[:-1]).any():
            return cls(hashes, None)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order)

    @property
    def nbytes(self) -> int:
        """Return the bytes that they take in memory."""
        return self.hashes.nbytes + (0 if self.rows is None else self.rows.nbytes)

    def find(
        self, wanted: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the rows with these hashes: the number of its hash, and the row of each."""
        starts = np.searchsorted(self.hashes, wanted, "left")
        counts = np.searchsorted(self.hashes, wanted, "right") - starts
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(starts, counts) + offsets
        numbers = np.repeat(np.arange(len(wanted)), counts)
        return numbers, places if self.rows is None else self.rows[places]
