"""The remainder of a shard: the records that no job so far answered or refused for good.

The answers of a job are paid for and kept, however the job ended. The next attempt reads only the
remainder, which is an object of its own, or a folder of them if the shard is one. Its bytes depend
only on the shard and the outputs. So every process that writes it writes the same bytes, and plans
the same job.

There is no remainder while a job claims more answers than were found: they are paid for, their
lines may follow, and nothing says which records they belong to.

Files are read line by line; of a whole shard, only record ids are held in memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bedrock_spark.outputs.claims import Claim, FoundLines, UnfoundAnswers, unfound_answers
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.outputs.output_manifest import read_output_manifest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.shard_records import read_records
from bedrock_spark.shards.lines import read_line
from bedrock_spark.storage import Storage, scratch_folder

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

    settled: the records that they answer, or refuse for good
    found, claims: the lines, and the counts of the output manifest, by job id
    """

    settled: set[str] = field(default_factory=set)
    found: dict[str, FoundLines] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)


def attempt_input(
    storage: Storage, shard: Shard, attempt: int, jobs: Sequence[Job] = ()
) -> AttemptInput | tuple[UnfoundAnswers, ...]:
    """Return the input of a shard's next attempt, or the answers that are claimed and not found.

    It is the shard itself if no record is settled. Otherwise the remainder is written into the run
    folder; if no record is left, nothing is written.

    jobs: all jobs of the shard; the errors of excused ones are not final
    """
    listed = [o.key for o in storage.list(layout.outputs_prefix(shard.shard_id)) if o.size]
    keys = [key for key in listed if layout.has_output_lines(key)]
    whole = AttemptInput(shard.key, shard.records, shard.sha256)
    not_final = tuple(output_prefix(j.shard_id, j.attempt, j.token) for j in jobs if j.is_excused)
    with scratch_folder("remainder") as folder:
        sources = [Path(folder, f"shard-{n}") for n in range(len(shard.sizes))] if keys else []
        for key, source in zip(shard.sizes, sources, strict=False):
            storage.download(key, source)
        outputs = _read_outputs(storage, keys, sources, Path(folder, "output"), not_final)
        for key in listed:
            if key.endswith(f"/{layout.OUTPUT_MANIFEST_FILE}"):
                _read_manifest(storage, key, outputs)
        unfound = _unfound(jobs, outputs)
        if unfound:
            return unfound
        settled = outputs.settled
        if not settled:
            return whole
        lines = (line for source in sources for line in _lines(source))
        rest = (line for line in lines if read_line(line).recordId not in settled)
        return _write(storage, shard, attempt, rest, folder)


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
        return _write(storage, shard, attempt, (line.as_line() for line in lines), folder)


def _read_outputs(
    storage: Storage,
    keys: list[str],
    shard: Sequence[Path],
    path: Path,
    not_final: tuple[str, ...],
) -> _Outputs:
    """Read the lines of all outputs. Lines of other records than the shard's are not found.

    not_final: output folders in which no error is final
    """
    outputs = _Outputs()
    own = {read_line(line).recordId for source in shard for line in _lines(source)}
    for key in keys:
        found = outputs.found.setdefault(_job_id(key), FoundLines())
        storage.download(key, path)
        is_final = not key.startswith(not_final)
        for line in _lines(path):
            for record in read_lines(line):
                found.lines += 1
                if not isinstance(record, OutputRecord):
                    found.unreadable += 1
                elif record.record_id in own:
                    if record.error is None:
                        found.answered.add(record.record_id)
                    if not _may_be_answered(record, is_final=is_final):
                        outputs.settled.add(record.record_id)
    return outputs


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


def _write(
    storage: Storage, shard: Shard, attempt: int, lines: Iterable[bytes], folder: Path
) -> AttemptInput:
    """Write lines as the input of an attempt at a shard; nothing if there are none.

    If the shard has several files, the input has as many as it needs. None has more bytes than the
    largest of these, nor more records than they have on average: so much a file may have.
    folder: takes local files
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
    sha256 = digest.hexdigest()
    if not shard.files:
        key = layout.remainder_key(shard.shard_id, attempt)
    else:
        key = layout.remainder_folder(shard.shard_id, attempt, sha256[:_DIGEST_LENGTH])
    keys = layout.lines_keys(key, len(targets) if shard.files else 0)
    for target, target_key in zip(targets, keys, strict=False):
        storage.upload(target, target_key)
    return AttemptInput(key, records, sha256)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines, split on `\\n` only. Blank ones are skipped; the last one gets its `\\n`."""
    with path.open("rb") as source:
        for line in source:
            if line.strip():
                yield line if line.endswith(b"\n") else line + b"\n"
