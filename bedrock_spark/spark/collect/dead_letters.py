"""The dead letters of a shard: the rows that were asked and are not ok, as a file of their own.

The file has the kept source columns and the outcome of each row, so it can be the source of another
run. The pattern: https://en.wikipedia.org/wiki/Dead_letter_queue
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.parquet import write_results
from bedrock_spark.spark.result_schema import ResultColumns
from bedrock_spark.storage import Storage

# The result columns that dead letters have: the outcome, and nothing of an answer.
_OUTCOME_COLUMNS = (
    *("record_id", "outcome", "error_code", "error_message"),
    *("served_by", "attempt", "job_arn"),
)


class DeadLetters:
    """Copies the rows that are not ok while the results of a shard are written.

    columns: the result columns; those of an answer are left out
    """

    def __init__(self, columns: ResultColumns) -> None:
        self._prefix = columns.prefix
        kept = {f"{columns.prefix}{name}" for name in _OUTCOME_COLUMNS}
        self._left_out = set(columns.names) - kept
        self._held: list[pa.RecordBatch] = []

    def copy_from(self, batch: pa.RecordBatch) -> None:
        """Hold a copy of those rows of a batch of results that are not ok."""
        is_dead = pc.not_equal(batch[f"{self._prefix}outcome"], OK)
        if is_dead.true_count:
            columns = batch.select(self._names(batch.schema))
            self._held.append(columns.filter(is_dead))

    def write(self, storage: Storage, shard_id: str, *, may_exist: bool) -> int:
        """Write the held rows, and return their number. If there are none, there is no file.

        may_exist: whether a file of an earlier collect may have to be deleted
        """
        key = layout.deadletters_key(shard_id)
        if self._held:
            write_results(storage, key, self._held[0].schema, self._held, self._prefix)
        elif may_exist:
            storage.delete([key])
        return sum(batch.num_rows for batch in self._held)

    def _names(self, schema: pa.Schema) -> list[str]:
        return [name for name in schema.names if name not in self._left_out]
