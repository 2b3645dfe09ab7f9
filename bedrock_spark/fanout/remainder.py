"""The remainder of a shard: the records that no job so far answered or refused for good.

The answers of a job are paid for and kept, however the job ended. The next attempt reads only the
remainder, which is an object of its own. Its bytes depend only on the shard and the outputs. So
every process that writes it writes the same bytes, and plans the same job.

Files are read line by line; only record ids are held in memory.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.shards.lines import read_line
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class AttemptInput:
    """The input of an attempt: the key of the object, its number of records, and its digest."""

    key: str
    records: int
    sha256: str


def attempt_input(
    storage: Storage, shard: Shard, attempt: int, not_final: Sequence[str] = ()
) -> AttemptInput:
    """Return the input of a shard's next attempt.

    not_final: output folders in which no error is final
    It is the shard itself if no record is settled. Otherwise the remainder is written into the run
    folder; if no record is left, nothing is written.
    """
    outputs = [
        o.key
        for o in storage.list(layout.outputs_prefix(shard.shard_id))
        if o.size and o.key.endswith(".jsonl.out")
    ]
    whole = AttemptInput(layout.shard_key(shard.shard_id), shard.records, shard.sha256)
    if not outputs:
        return whole
    with tempfile.TemporaryDirectory(prefix="remainder-") as folder:
        settled = _settled_ids(storage, outputs, Path(folder, "output"), tuple(not_final))
        if not settled:
            return whole
        source, target = Path(folder, "shard"), Path(folder, "remainder")
        key = layout.remainder_key(shard.shard_id, attempt)
        storage.download(whole.key, source)
        remainder = _write_lines(source, target, key, lambda record_id: record_id not in settled)
        if remainder.records:
            storage.upload(target, key)
    return remainder


def chosen_input(
    storage: Storage, shard: Shard, attempt: int, record_ids: Iterable[str]
) -> AttemptInput:
    """Write the input of an attempt that asks only these records of a shard; return it."""
    chosen_ids = set(record_ids)
    with tempfile.TemporaryDirectory(prefix="remainder-") as folder:
        source, target = Path(folder, "shard"), Path(folder, "chosen")
        storage.download(layout.shard_key(shard.shard_id), source)
        key = layout.remainder_key(shard.shard_id, attempt)
        chosen = _write_lines(source, target, key, lambda record_id: record_id in chosen_ids)
        storage.upload(target, key)
    return chosen


def _settled_ids(
    storage: Storage, keys: list[str], path: Path, not_final: tuple[str, ...]
) -> set[str]:
    """Return the ids of the records that the outputs answer, or refuse for good."""
    settled = set()
    for key in keys:
        storage.download(key, path)
        is_final = not key.startswith(not_final)
        for line in _lines(path):
            for record in read_lines(line):
                if isinstance(record, OutputRecord) and not _may_be_answered(
                    record, is_final=is_final
                ):
                    settled.add(record.record_id)
    return settled


def _may_be_answered(record: OutputRecord, *, is_final: bool) -> bool:
    return record.error is not None and (record.error.is_retryable or not is_final)


def _write_lines(
    source: Path, target: Path, key: str, is_included: Callable[[str], bool]
) -> AttemptInput:
    """Copy the lines whose record id `is_included` accepts; return them as the input at `key`."""
    digest, records = hashlib.sha256(), 0
    with target.open("wb") as sink:
        for line in _lines(source):
            if is_included(read_line(line).recordId):
                sink.write(line)
                digest.update(line)
                records += 1
    return AttemptInput(key, records, digest.hexdigest())


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines, split on `\\n` only. Blank ones are skipped; the last one gets its `\\n`."""
    with path.open("rb") as source:
        for line in source:
            if line.strip():
                yield line if line.endswith(b"\n") else line + b"\n"
