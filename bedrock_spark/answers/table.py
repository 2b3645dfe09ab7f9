"""The columns of kept answers, and how a file of them is written.

All types are plain: Spark, DuckDB and pyarrow read them. The columns that a lookup reads first come
first and model_output last, so that one request fetches the small ones of a row group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.answers.store import AnswersFile, answers_key
from bedrock_spark.storage import Storage, scratch_folder

BODY_HASH, REQUEST_DIGEST, ANSWERED_AT = "body_hash", "request_digest", "answered_at"
MODEL_ID, RUN_ID, OUTCOME, MODEL_OUTPUT = "model_id", "run_id", "outcome", "model_output"
TIME = pa.timestamp("us", "UTC")
# body_hash: XXH64 (seed 42) of the body as a signed number; docs/answers.md describes the others.
SCHEMA = pa.schema(
    [
        (BODY_HASH, pa.int64()),
        (REQUEST_DIGEST, pa.string()),
        (ANSWERED_AT, TIME),
        (OUTCOME, pa.string()),
        (MODEL_ID, pa.string()),
        (RUN_ID, pa.string()),
        ("record_id", pa.string()),
        ("served_by", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        (MODEL_OUTPUT, pa.string()),
    ]
)
# Columns with few values.
WITH_DICTIONARY = [OUTCOME, MODEL_ID, RUN_ID, "served_by"]
_WITH_STATISTICS = [name for name in SCHEMA.names if name not in (MODEL_OUTPUT, REQUEST_DIGEST)]
# A reader of a range holds one row group at a time.
GROUP_ROWS, GROUP_BYTES = 65_536, 16_000_000
# Files end at about this size, so that one that is replaced or copied is no burden.
FILE_BYTES = 256_000_000


def write_answers(
    storage: Storage, written_at: float, label: str, number: int, rows: Iterable[pa.RecordBatch]
) -> AnswersFile | None:
    """Write one file of answers, and return it; None, and no file, if there are no rows.

    rows: of SCHEMA, sorted by body_hash
    written_at, label, number: for its name, see `answers_key`. The same rows and name make the same
        key, so a repeated write replaces the file by an equal one
    Raises ValueError if the rows are not sorted.
    """
    with scratch_folder("answers") as folder:
        path, hashes = folder / "answers.parquet", _Hashes()
        with pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            use_dictionary=WITH_DICTIONARY,
            write_statistics=_WITH_STATISTICS,
            write_page_index=True,
            sorting_columns=[pq.SortingColumn(0)],
        ) as writer:
            for group in _groups(rows):
                hashes.add(group.column(0))
                writer.write_table(group)
                # What the group took would else stay with this process beside the next one.
                pa.default_memory_pool().release_unused()
        if hashes.first is None or hashes.last is None:
            return None
        key = answers_key(written_at, label, number, hashes.first, hashes.last)
        size = path.stat().st_size
        storage.upload(path, key)
    return AnswersFile(key, size, hashes.first, hashes.last)


class _Hashes:
    """The first and the last hash so far. Raises ValueError if they are not in order."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None

    def add(self, column: pa.ChunkedArray) -> None:
        hashes = column.to_numpy()
        before = self.last if self.last is not None else int(hashes[0])
        if hashes[0] < before or (hashes[1:] < hashes[:-1]).any():
            raise ValueError("the rows of a file of answers must be sorted by body_hash")
        self.first = int(hashes[0]) if self.first is None else self.first
        self.last = int(hashes[-1])


def _groups(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows in tables that make one row group each."""
    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    for batch in (piece for whole in rows for piece in _pieces(whole)):
        if held and (
            held_rows + batch.num_rows > GROUP_ROWS or held_bytes + batch.nbytes > GROUP_BYTES
        ):
            yield pa.Table.from_batches(held, SCHEMA)
            held, held_rows, held_bytes = [], 0, 0
        held.append(batch)
        held_rows += batch.num_rows
        held_bytes += batch.nbytes
    if held:
        yield pa.Table.from_batches(held, SCHEMA)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch into pieces of a fraction of a row group, so that groups are full."""
    average = max(1, batch.nbytes // max(1, batch.num_rows))
    rows = max(1, min(GROUP_ROWS, GROUP_BYTES // average) // 8)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
