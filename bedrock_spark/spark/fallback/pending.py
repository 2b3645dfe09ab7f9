"""The records that a task of the fallback has to ask, read shard by shard.

A shard is asked only while its reconciliation is up to date: it was made of the batch output that
is there now, and it has the list of unanswered records of which the part was cut. Otherwise a
record may have been answered since, or another task has it. Then the shard must be collected again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.outputs.shard_outputs import outputs_digest, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.shard_records import read_records
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.storage import Storage, StoredObject


@dataclass
class PendingRecords:
    """The records of some parts that nobody has asked yet.

    prepare_id: names the folder of the shards
    path: the keys that lead to the limit of tokens in a body; () if no limit is ever changed
    changed: how many records were left out because their shard must be collected again
    """

    storage: Storage
    prepare_id: str
    parts: Sequence[Part]
    path: Sequence[str] = ()
    changed: int = 0

    def __iter__(self) -> Iterator[tuple[str, ShardLine, int | None]]:
        """Yield them, each with its shard, and with its limit of tokens if that was raised.

        Answers are looked up when a part begins.

        That is late enough: nobody else asks these records while this task has its claim.
        """
        for part in self.parts:
            reconciled = read_reconciled(self.storage, part.shard_id)
            inputs = shard_inputs(self.storage, part.shard_id)
            if part.digest != reconciled.unanswered_digest or not _is_current(reconciled, inputs):
                self.changed += part.records
                continue
            own = set(reconciled.unanswered_ids[part.start : part.stop])
            own -= _settled_since(self.storage, inputs, set(reconciled.fallback_files))
            if not own:
                continue
            limits = reconciled.limits if self.path else {}
            for record in read_records(
                self.storage, part.shard_id, self.prepare_id, own, part.files
            ):
                limit = limits.get(record.recordId)
                asked = record if limit is None else record.with_limit(self.path, limit)
                yield part.shard_id, asked, limit


def _is_current(reconciled: ReconciledShard, inputs: Sequence[StoredObject]) -> bool:
    """Tell whether a reconciliation covers the output that is there now.

    Newer answers of the fallback do not matter: they are read before a record is asked.
    """
    keys = {stored.key for stored in inputs}
    return outputs_digest(inputs) == reconciled.outputs and keys.issuperset(
        reconciled.fallback_files
    )


def _settled_since(
    storage: Storage, inputs: Sequence[StoredObject], collected: set[str]
) -> set[str]:
    """Return the ids of the records that newer files of the fallback answer or refuse for good.

    collected: the keys of the files that collect has read
    """
    settled: set[str] = set()
    for stored in inputs:
        if stored.key in collected or not stored.key.startswith(f"{layout.FALLBACK}/"):
            continue
        for line in read_lines(storage.read(stored.key)):
            if isinstance(line, OutputRecord) and (
                line.error is None or not line.error.is_retryable
            ):
                settled.add(line.record_id)
    return settled
