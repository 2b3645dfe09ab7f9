"""The remainder of a shard: the records that no job so far answered or refused for good.

The answers of a job are paid for and kept, however the job ended. The next attempt reads only the
remainder, which is an object of its own, or a folder of them if the shard is one. Its bytes depend
only on the shard and the outputs. So every process that writes it writes the same bytes, and plans
the same job.

There is no remainder while a job claims more answers than were found: they are paid for, their
lines may follow, and nothing says which records they belong to.

Outputs are read piece by piece. Of the shard, only the bytes are read in which its index says that
other records than the settled ones are. Only record ids are held in memory.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from bedrock_spark.outputs.claims import Claim, FoundLines, UnfoundAnswers, unfound_answers
from bedrock_spark.outputs.line_pieces import PIECE_BYTES
from bedrock_spark.outputs.lines import BadLine, OutputRecord, read_lines
from bedrock_spark.outputs.output_manifest import read_output_manifest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.shard_records import (
    all_records,
    lines_of,
    read_index,
    read_records,
    records_in,
)
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.storage import LineReader, Storage, scratch_folder

log = logging.getLogger(__name__)

# Sixteen digits: two remainders of one attempt never have one folder.
_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class AttemptInput:
    """The input of an attempt: its key, its number of records, and the digest of its lines.

    key: of an object, or of a folder of objects
    """

    key: str
    records: int
    sha256: str


@dataclass
class _Outputs:
    """What the outputs of a shard say.

    settled: the records that they answer, or refuse for good; some may be of another shard
    found, claims: the lines, and the counts of the output manifest, by job id
    """

    settled: set[str] = field(default_factory=set)
    found: dict[str, FoundLines] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)

    def keep(self, own: set[str]) -> None:
        """Forget the settled records that are not these, the shard's own."""
        self.settled &= own
        for found in self.found.values():
            found.answered &= own


def attempt_input(
    storage: Storage, shard: Shard, attempt: int, jobs: Sequence[Job] = ()
) -> AttemptInput | tuple[UnfoundAnswers, ...]:
    """Return the input of a shard's next attempt, or the answers that are claimed and not found.

    It is the shard itself if no record is settled. Otherwise the remainder is written into the run
    folder; if no record is left, nothing is written.

    jobs: all jobs of the shard; the errors of excused ones are not final
    """
    not_final = tuple(output_prefix(j.shard_id, j.attempt, j.token) for j in jobs if j.is_excused)
    outputs = _read_outputs(storage, shard, not_final)
    with scratch_folder("remainder") as folder:
        rest = _without_settled(storage, shard, outputs, folder) if outputs.settled else None
        unfound = _unfound(jobs, outputs)
        if unfound:
            return unfound
        if rest is None or not outputs.settled:
            return AttemptInput(shard.key, shard.records, shard.sha256)
        return rest.put(storage, shard, attempt)


def _without_settled(storage: Storage, shard: Shard, outputs: _Outputs, folder: Path) -> _Local:
    """Write the lines of the records that are not settled; keep of the others the shard's own.

    The index leads to them. If it does not lead to as many records as the shard has, it is not the
    shard's own, and the shard is read whole.
    """
    lines = lines_of(shard.shard_id, shard.prepare_id, shard.files)
    index = read_index(storage, shard.shard_id, shard.prepare_id)
    if index is not None:
        blocks, own = index.blocks_without(outputs.settled)
        records = records_in(storage, lines, blocks)
        rest = _Local.of(_others(records, outputs.settled, own), shard, folder)
        if rest.records + len(own) == shard.records:
            outputs.keep(own)
            return rest
        log.warning("%s: the index does not lead to every record; all is read", shard.key)
    own = set()
    records = all_records(storage, lines)
    rest = _Local.of(_others(records, outputs.settled, own), shard, folder)
    outputs.keep(own)
    return rest


def _others(
    records: Iterable[ShardLine], settled: Collection[str], own: set[str]
) -> Iterator[bytes]:
    """Yield the lines of the records that are not settled, and add the others to `own`."""
    for record in records:
        if record.recordId in settled:
            own.add(record.recordId)
        else:
            yield record.as_line()


def chosen_input(
    storage: Storage,
    shard: Shard,
    attempt: int,
    record_ids: Iterable[str],
    path: Sequence[str] = (),
    limits: Mapping[str, int] | None = None,
) -> AttemptInput:
    """Write the input of an attempt that asks only these records of a shard; return it.

    path: the keys that lead to the limit of tokens in a body
    limits: by record id, the limit that the body gets in place of its own
    """
    limits = limits or {}
    chosen = read_records(storage, shard.shard_id, shard.prepare_id, record_ids, shard.files)
    lines = (
        record.with_limit(path, limits[record.recordId]) if record.recordId in limits else record
        for record in chosen
    )
    with scratch_folder("remainder") as folder:
        rest = _Local.of((line.as_line() for line in lines), shard, folder)
        return rest.put(storage, shard, attempt)


def _read_outputs(storage: Storage, shard: Shard, not_final: tuple[str, ...]) -> _Outputs:
    """Read the lines of all outputs, and the output manifests.

    not_final: output folders in which no error is final
    """
    outputs = _Outputs()
    listed = [o for o in storage.list(layout.outputs_prefix(shard.shard_id)) if o.size]
    objects = [each for each in listed if layout.has_output_lines(each.key)]
    with closing(LineReader(storage, objects, PIECE_BYTES)) as reader:
        for each in objects:
            is_final = not each.key.startswith(not_final)
            found = outputs.found.setdefault(_job_id(each.key), FoundLines())
            first_byte = 0
            for piece in reader.whole_lines(each):
                for record in read_lines(piece, first_byte=first_byte):
                    _note(record, found, outputs.settled, is_final=is_final)
                first_byte += len(piece)
    for each in listed:
        if each.key.endswith(f"/{layout.OUTPUT_MANIFEST_FILE}"):
            _read_manifest(storage, each.key, outputs)
    return outputs


def _note(
    record: OutputRecord | BadLine, found: FoundLines, settled: set[str], *, is_final: bool
) -> None:
    found.lines += 1
    if isinstance(record, BadLine):
        found.unreadable += 1
        return
    if record.error is None:
        found.answered.add(record.record_id)
    if not _may_be_answered(record, is_final=is_final):
        settled.add(record.record_id)


def _read_manifest(storage: Storage, key: str, outputs: _Outputs) -> None:
    manifest = read_output_manifest(storage.read(key))
    if manifest is not None:
        outputs.claims[_job_id(key)] = manifest.succeeded, manifest.failed


def _unfound(jobs: Sequence[Job], outputs: _Outputs) -> tuple[UnfoundAnswers, ...]:
    """Return the answers that a job of the shard, or its output manifest, claims in vain."""
    seen = {job.seen.job_id: job.seen for job in jobs if job.seen is not None and job.is_settled}
    unfound = []
    for job_id in sorted({*seen, *outputs.claims, *outputs.found}):
        job = seen.get(job_id)
        claims = [outputs.claims[job_id]] if job_id in outputs.claims else []
        if job is not None:
            claims.append((job.succeeded, job.failed))
        found = outputs.found.get(job_id, FoundLines())
        unfound.append(unfound_answers(job.job_arn if job else f"job {job_id}", claims, found))
    return tuple(each for each in unfound if each is not None)


def _job_id(key: str) -> str:
    return key.split("/")[-2]


def _may_be_answered(record: OutputRecord, *, is_final: bool) -> bool:
    return record.error is not None and (record.error.is_retryable or not is_final)


@dataclass(frozen=True)
class _Local:
    """Lines in local files: the input of an attempt before it is in the run folder."""

    files: Sequence[Path]
    records: int
    sha256: str

    @classmethod
    def of(cls, lines: Iterable[bytes], shard: Shard, folder: Path) -> _Local:
        """Write lines into a folder; no file if there are none.

        If the shard has several files, as many as are needed. None has more bytes than the largest
        of these, nor more records than they have on average: so much a file may have.
        """
        most_bytes = max(shard.files) if shard.files else math.inf
        most_records = math.ceil(shard.records / len(shard.files)) if shard.files else math.inf
        digest, records, targets = hashlib.sha256(), 0, list[Path]()
        file_records = file_bytes = 0
        with ExitStack() as opened:
            for line in lines:
                is_full = file_records >= most_records or file_bytes + len(line) > most_bytes
                if is_full or not targets:
                    opened.close()
                    targets.append(folder / f"remainder-{len(targets)}")
                    sink = opened.enter_context(targets[-1].open("wb"))
                    file_records = file_bytes = 0
                sink.write(line)
                digest.update(line)
                file_bytes += len(line)
                file_records += 1
                records += 1
        return cls(targets, records, digest.hexdigest())

    def put(self, storage: Storage, shard: Shard, attempt: int) -> AttemptInput:
        """Write them as the input of an attempt at a shard; nothing if there are none."""
        if not shard.files:
            key = layout.remainder_key(shard.shard_id, attempt)
        else:
            key = layout.remainder_folder(shard.shard_id, attempt, self.sha256[:_DIGEST_LENGTH])
        keys = layout.lines_keys(key, len(self.files) if shard.files else 0)
        for file, file_key in zip(self.files, keys, strict=False):
            storage.upload(file, file_key)
        return AttemptInput(key, self.records, self.sha256)
