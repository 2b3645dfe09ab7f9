"""Read all outputs of one shard: those of every attempt, then those of the fallback.

The lines of each batch job are compared with its output manifest and with the job's own counts; a
difference is a finding. A job without output lines is compared too. A job that still runs is not.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bedrock_spark.outputs.findings import EXAMPLES
from bedrock_spark.outputs.images import AnswerImages, by_record, is_image
from bedrock_spark.outputs.line_pieces import PIECE_BYTES, read_pieces
from bedrock_spark.outputs.outcomes import ERROR, OK
from bedrock_spark.outputs.output_manifest import OutputManifest, read_output_manifest
from bedrock_spark.outputs.reconcile import BAD, ShardReconciliation
from bedrock_spark.outputs.reconciled_shard import CollectedJob
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, KEPT, Origin
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import Place
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import LineReader, Storage, StoredObject, list_all

_DIGEST_LENGTH = 32
_MANIFEST = f"/{layout.OUTPUT_MANIFEST_FILE}"


@dataclass
class JobOutput:
    """The output of one batch job.

    job: None if the ledger knows no job of this id
    """

    folder: str
    job: Job | None = None
    manifest: OutputManifest | None = None
    lines: Counter[str] = field(default_factory=Counter)

    def collected(self) -> CollectedJob:
        """Return the part of the output that the shard's reconciliation keeps."""
        manifest = self.manifest or OutputManifest()
        return CollectedJob(
            job_id=self.folder.rsplit("/", 1)[-1],
            attempt=self.job.attempt if self.job else attempt_of(self.folder),
            lines={kind: self.lines[kind] for kind in (OK, ERROR, BAD)},
            input_tokens=manifest.input_tokens,
            output_tokens=manifest.output_tokens,
            images=manifest.images,
        )


def shard_inputs(storage: Storage, shard_id: str) -> list[StoredObject]:
    """Return every output object of a shard."""
    return list_all(storage, [layout.outputs_prefix(shard_id), layout.fallback_prefix(shard_id)])


def outputs_digest(inputs: Iterable[StoredObject]) -> str:
    """Return a digest of the keys, sizes and versions of the batch output among the inputs.

    Answers of the fallback are left out: they are written while the fallback acts on a shard.
    """
    outputs = sorted(
        (o.key, o.size, o.version) for o in inputs if not o.key.startswith(f"{layout.FALLBACK}/")
    )
    return _digest(outputs)


def jobs_digest(jobs: Iterable[Job]) -> str:
    """Return a digest of what is known of the jobs of a shard: their status and their counts."""
    return _digest(
        sorted(
            (j.job_name, j.seen and (j.seen.status, j.seen.succeeded, j.seen.failed)) for j in jobs
        )
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_DIGEST_LENGTH]


def open_outputs(storage: Storage, inputs: Iterable[StoredObject]) -> LineReader:
    """Begin to read the output files of a shard, in the order of `read_outputs`. Close it."""
    return LineReader(
        storage, [item for item in in_time(inputs) if _is_read(item.key)], PIECE_BYTES
    )


def read_outputs(
    reader: LineReader,
    inputs: Iterable[StoredObject],
    jobs: Sequence[Job],
    reconciliation: ShardReconciliation,
) -> list[JobOutput]:
    """Read the lines of every file into the reconciliation, and compare counts.

    Files are read from the oldest attempt to the newest, then those of the fallback, a piece at a
    time: memory holds one piece, and those that are read ahead.

    reader: of these inputs, as `open_outputs` returns it
    Returns the output of every batch job, by job id.
    """
    outputs = _outputs_of(jobs)
    ordered = in_time(inputs)
    for item in ordered:
        if _is_image_of_job(item.key):
            _output_at(item.key, outputs)
    for item in ordered:
        if _is_read(item.key):
            _read_file(item, reader, outputs, reconciliation)
    in_order = [outputs[job_id] for job_id in sorted(outputs)]
    for output in in_order:
        counts, arn = _counts(output.job), _arn(output.job)
        reconciliation.compare(output.folder, output.lines, output.manifest, counts, arn)
    reconciliation.compare_others()
    return in_order


def _read_file(
    item: StoredObject,
    reader: LineReader,
    outputs: dict[str, JobOutput],
    reconciliation: ShardReconciliation,
) -> None:
    key = item.key
    if key.startswith(layout.FALLBACK):
        lines = read_pieces(reader, item, reconciliation.times.add, has_notes=True)
        reconciliation.add(Origin(FALLBACK, source=key), lines)
        return
    if key.startswith(f"{layout.KEPT}/"):
        lines = read_pieces(reader, item, has_notes=True)
        reconciliation.add(Origin(KEPT, source=key), lines)
        return
    output = _output_at(key, outputs)
    if layout.has_output_lines(key):
        lines = read_pieces(reader, item)
        output.lines += reconciliation.add(_origin(key, output.job), lines)
        return
    manifest = read_output_manifest(b"".join(reader.whole_lines(item)))
    if manifest is not None:
        output.manifest = manifest
    else:
        reconciliation.add_finding("bad_manifest", f"{key}: is not a JSON object")


def _is_read(key: str) -> bool:
    return layout.has_output_lines(key) or key.endswith(_MANIFEST)


def in_time(inputs: Iterable[StoredObject]) -> list[StoredObject]:
    """Return files from the oldest attempt to the newest, then those of the fallback."""
    return sorted(inputs, key=lambda item: _order(item.key))


def _order(key: str) -> tuple[bool, int, str]:
    """Return what to sort a key by: attempt 10 is after attempt 2, and the fallback after both."""
    if key.startswith(layout.FALLBACK):
        return True, 0, key
    return False, attempt_of(key) or 0, key


def manifest_totals(outputs: Iterable[JobOutput]) -> dict[str, int]:
    """Add up the tokens and images of the output manifests of a shard's jobs."""
    manifests = [output.manifest for output in outputs if output.manifest is not None]
    return {
        "input": sum(m.input_tokens or 0 for m in manifests),
        "output": sum(m.output_tokens or 0 for m in manifests),
        "images": sum(m.images or 0 for m in manifests),
    }


def images_of(
    storage: Storage, inputs: Iterable[StoredObject], reconciliation: ShardReconciliation
) -> AnswerImages:
    """Return the images of a shard, and tell the reconciliation which records have some.

    Files that belong to no record are a finding.
    """
    keys = [item.key for item in inputs if _is_image_of_job(item.key)]
    files, foreign = by_record(keys, reconciliation.expected)
    reconciliation.with_files = files
    if foreign:
        reconciliation.add_finding("foreign_file", "; ".join(foreign[:EXAMPLES]), len(foreign))
    return AnswerImages(storage, reconciliation.shard_id, files)


def _is_image_of_job(key: str) -> bool:
    return key.startswith(layout.OUTPUT) and is_image(key)


def _outputs_of(jobs: Sequence[Job]) -> dict[str, JobOutput]:
    ids = {job.seen.job_id: job for job in jobs if job.seen is not None}
    return {job_id: JobOutput(f"job {job_id}", job) for job_id, job in ids.items()}


def _output_at(key: str, outputs: dict[str, JobOutput]) -> JobOutput:
    folder = key.rsplit("/", 1)[0]
    output = outputs.setdefault(folder.rsplit("/", 1)[-1], JobOutput(folder))
    output.folder = folder
    return output


def _origin(key: str, job: Job | None) -> Origin:
    model_id, region = (None, None) if job is None or job.place is None else _where(job.place)
    ended_at = None if job is None else _end_of(job)
    return Origin(BATCH, attempt_of(key), _arn(job), key, model_id, ended_at, region)


def _where(place: Place) -> tuple[str, str | None]:
    return place.model_id, place.region or None


def _end_of(job: Job) -> float | None:
    """Return when a job ended: as the service says it, else when the run saw that it is over."""
    if job.seen is None or not job.is_settled:
        return None
    return job.seen.ended_at if job.seen.ended_at is not None else job.settled_at


def _arn(job: Job | None) -> str | None:
    return job.seen.job_arn if job is not None and job.seen is not None else None


def attempt_of(key: str) -> int | None:
    """Return the attempt in the key of an output: output/<shard>/a<attempt>-<digest>/…

    None if the key has another form.
    """
    number = key.split("/")[2].removeprefix("a").split("-", 1)[0] if key.count("/") > 1 else ""
    return int(number) if number.isascii() and number.isdecimal() else None


def _counts(job: Job | None) -> dict[str, int | None]:
    """Return the job's own counts; none if it is not settled, because they still change."""
    if job is None or job.seen is None or not job.is_settled:
        return {}
    return {OK: job.seen.succeeded, ERROR: job.seen.failed}
