"""The rows of a shard that were asked and have no answer, as a file beside the results.

It has the columns of the source and what became of the row, so it is a source for another run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.outputs.reconcile import OK
from bedrock_spark.run_folder import layout
from bedrock_spark.schema import RESULT_COLUMNS
from bedrock_spark.spark.parquet import write_results
from bedrock_spark.storage import Storage

_TOLD = (
    *("record_id", "outcome", "error_code", "error_message"),
    *("served_by", "attempt", "job_arn"),
)


class DeadLetters:
    """Picks the rows without an answer from the results of a shard as these are written."""

    def __init__(self, parsed: Iterable[str]) -> None:
        self._left_out = {*RESULT_COLUMNS, *parsed} - set(_TOLD)
        self._held: list[pa.RecordBatch] = []

    def among(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pass batches of results on, and keep their rows that have no answer."""
        for batch in batches:
            is_dead = pc.not_equal(batch["outcome"], OK)
            if is_dead.true_count:
                told = batch.select(self._names(batch.schema))
                self._held.append(told.filter(is_dead))
            yield batch

    def write(self, storage: Storage, shard_id: str, *, may_be_there: bool) -> int:
        """Write what was kept, and return how many rows that is; without any there is no file."""
        key = layout.deadletters_key(shard_id)
        if self._held:
            write_results(storage, key, self._held[0].schema, self._held)
        elif may_be_there:
            storage.delete([key])
        return sum(batch.num_rows for batch in self._held)

    def _names(self, schema: pa.Schema) -> list[str]:
        return [name for name in schema.names if name not in self._left_out]
