"""What is left of a shard after its jobs so far: the records that none of them answered for good.

What a job answered is paid for and kept, however the job ended. Another attempt is given only what
is left, as an object of its own, whose bytes follow from the shard and the outputs alone: whoever
makes it makes the same, and so the same job. Files are read line by line; in memory are only ids.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.shards.lines import read_line
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class AttemptInput:
    """What an attempt reads: an object, how many records it has, and which bytes."""

    key: str
    records: int
    sha256: str


def attempt_input(storage: Storage, shard: Shard, attempt: int) -> AttemptInput:
    """Return the input of a shard's next attempt; writes it unless it is the shard itself."""
    outputs = [
        o.key
        for o in storage.list(layout.outputs_prefix(shard.shard_id))
        if o.size and o.key.endswith(".jsonl.out")
    ]
    whole = AttemptInput(layout.shard_key(shard.shard_id), shard.records, shard.sha256)
    if not outputs:
        return whole
    with tempfile.TemporaryDirectory(prefix="remainder-") as folder:
        settled = _settled_ids(storage, outputs, Path(folder, "output"))
        if not settled:
            return whole
        rest = Path(folder, "rest")
        key = layout.remainder_key(shard.shard_id, attempt)
        source = Path(folder, "shard")
        storage.download(whole.key, source)
        made = _write_lines(source, lambda record_id: record_id not in settled, rest, key)
        if made.records:
            storage.upload(rest, key)
    return made


def chosen_input(
    storage: Storage, shard: Shard, attempt: int, record_ids: Iterable[str]
) -> AttemptInput:
    """Write the input of an attempt for these records of a shard, and return it."""
    chosen = set(record_ids)
    with tempfile.TemporaryDirectory(prefix="remainder-") as folder:
        source, rest = Path(folder, "shard"), Path(folder, "rest")
        storage.download(layout.shard_key(shard.shard_id), source)
        key = layout.remainder_key(shard.shard_id, attempt)
        made = _write_lines(source, lambda record_id: record_id in chosen, rest, key)
        storage.upload(rest, key)
    return made


def _settled_ids(storage: Storage, keys: list[str], path: Path) -> set[str]:
    """Return the ids of records that are answered, or refused for good."""
    found = set()
    for key in keys:
        storage.download(key, path)
        for line in _lines(path):
            for record in read_lines(line):
                if isinstance(record, OutputRecord) and not _is_open(record):
                    found.add(record.record_id)
    return found


def _is_open(record: OutputRecord) -> bool:
    return record.error is not None and record.error.is_retryable


def _write_lines(
    source: Path, is_wanted: Callable[[str], bool], rest: Path, key: str
) -> AttemptInput:
    digest, records = hashlib.sha256(), 0
    with rest.open("wb") as sink:
        for line in _lines(source):
            if is_wanted(read_line(line).recordId):
                sink.write(line)
                digest.update(line)
                records += 1
    return AttemptInput(key, records, digest.hexdigest())


def _lines(path: Path) -> Iterator[bytes]:
    """Yield lines as `\\n` parts them, the last one ended too; blank ones are passed over."""
    with path.open("rb") as source:
        for line in source:
            if line.strip():
                yield line if line.endswith(b"\n") else line + b"\n"
