"""The dead letters of a shard: the rows that were asked and are not ok, as a file of their own.

The file has the kept source columns and the outcome of each row, so it can be the source of another
run. The pattern: https://en.wikipedia.org/wiki/Dead_letter_queue
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.parquet import ParquetFile, new_results_file
from bedrock_spark.spark.result_schema import ResultColumns
from bedrock_spark.storage import Storage

# The result columns that dead letters have: the outcome, and nothing of an answer.
_OUTCOME_COLUMNS = (
    *("record_id", "outcome", "error_code", "error_message"),
    *("served_by", "attempt", "job_arn"),
)


class DeadLetters:
    """Copies the rows that are not ok while the results of a shard are written.

    Memory holds one row group. The file appears with `commit`; a block that ends without it leaves
    no file.

    columns: the result columns; those of an answer are left out
    may_exist: whether a file of an earlier collect may have to be deleted
    """

    def __init__(
        self, columns: ResultColumns, storage: Storage, shard_id: str, *, may_exist: bool
    ) -> None:
        self._prefix = columns.prefix
        kept = {f"{columns.prefix}{name}" for name in _OUTCOME_COLUMNS}
        self._left_out = set(columns.names) - kept
        self._storage = storage
        self._key = layout.deadletters_key(shard_id)
        self._file: ParquetFile | None = None
        self._may_exist = may_exist

    def __enter__(self) -> Self:
        """Begin without a file: most shards have none."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the file, unless it was committed."""
        if self._file is not None:
            self._file.abort()

    def copy_from(self, batch: pa.RecordBatch) -> None:
        """Write a copy of those rows of a batch of results that are not ok."""
        is_dead = pc.not_equal(batch[f"{self._prefix}outcome"], OK)
        if not is_dead.true_count:
            return
        rows = batch.select(self._names(batch.schema)).filter(is_dead)
        if self._file is None:
            self._file = new_results_file(self._storage, self._key, rows.schema, self._prefix)
        self._file.write(rows)

    @property
    def rows(self) -> int:
        """Return the number of rows so far."""
        return 0 if self._file is None else self._file.rows

    def commit(self) -> str:
        """Make the file visible; return its version. Without rows there is no file: ""."""
        if self._file is not None:
            return self._file.commit()
        if self._may_exist:
            self._storage.delete([self._key])
        return ""

    def _names(self, schema: pa.Schema) -> list[str]:
        return [name for name in schema.names if name not in self._left_out]
