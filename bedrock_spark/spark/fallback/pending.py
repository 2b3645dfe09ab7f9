"""The records that a task of the fallback has to ask, read shard by shard.

A shard is asked only while its reconciliation is up to date: it was made of the batch output that
is there now, and it has the list of unanswered records of which the part was cut. Otherwise a
record may have been answered since, or another task has it. Then the shard must be collected again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import zip_longest

from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.outputs.shard_outputs import outputs_digest, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.shard_records import found_records, lines_of, read_index
from bedrock_spark.shards.byte_index import ShardIndex
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.spark.fallback.parts import Part
from bedrock_spark.storage import Storage, StoredObject, calls_at_once

# With so few records left of a part, the next one is looked up.
_LAST = 20


@dataclass(frozen=True)
class Look:
    """What the folder says of a shard: its reconciliation, its output objects, its index."""

    reconciled: ReconciledShard
    inputs: Sequence[StoredObject]
    index: ShardIndex | None


@dataclass
class PendingRecords:
    """The records of some parts that nobody has asked yet.

    prepare_id: names the folder of the shards
    path: the keys that lead to the limit of tokens in a body; () if no limit is ever changed
    changed: how many records were left out because their shard must be collected again
    first: what was read for the first part, if that was done before
    """

    storage: Storage
    prepare_id: str
    parts: Sequence[Part]
    path: Sequence[str] = ()
    changed: int = 0
    first: Future[Look] | None = None

    def __iter__(self) -> Iterator[tuple[str, ShardLine, int | None]]:
        """Yield them, each with its shard, and with its limit of tokens if that was raised.

        Answers are looked up when a part begins, or while its last records but a few are asked of
        the part before.

        That is late enough: nobody else asks these records while this task has its claim.
        """
        with calls_at_once(self.storage) as calls:
            following = self.first
            for part, next_part in zip_longest(self.parts, self.parts[1:]):
                look = (following or calls.begin(self.look, part)).result()
                following, own = None, self._own(part, look)
                if own is None:
                    self.changed += part.records
                    continue
                for asked, record in enumerate(self._records(part, look, own)):
                    if following is None and next_part and len(own) - asked <= _LAST:
                        following = calls.begin(self.look, next_part)
                    yield record

    def look(self, part: Part) -> Look:
        """Read what the folder says of the shard of a part."""
        with calls_at_once(self.storage) as calls:
            reconciled = calls.begin(read_reconciled, self.storage, part.shard_id)
            inputs = calls.begin(shard_inputs, self.storage, part.shard_id)
            index = calls.begin(read_index, self.storage, part.shard_id, self.prepare_id)
        return Look(reconciled.result(), inputs.result(), index.result())

    def _own(self, part: Part, look: Look) -> set[str] | None:
        """Return the records to ask; None if the shard must be collected again."""
        reconciled, inputs = look.reconciled, look.inputs
        if part.digest != reconciled.unanswered_digest or not _is_current(reconciled, inputs):
            return None
        own = set(reconciled.unanswered_ids[part.start : part.stop])
        return own - _settled_since(self.storage, inputs, set(reconciled.fallback_files))

    def _records(
        self, part: Part, look: Look, own: set[str]
    ) -> Iterator[tuple[str, ShardLine, int | None]]:
        if not own:
            return
        limits = look.reconciled.limits if self.path else {}
        lines = lines_of(part.shard_id, self.prepare_id, part.files)
        for record in found_records(self.storage, lines, look.index, own):
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
