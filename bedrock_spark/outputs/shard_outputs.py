"""Read everything that came back for one shard: every attempt's output, then the fallback's.

Per batch job, the lines, the output manifest and the job's own counts are compared: where they
differ, that is a finding. A job without output lines is compared too; one that still runs is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.outputs.images import AnswerImages, by_record, is_image
from bedrock_spark.outputs.lines import OutputManifest, read_lines, read_output_manifest
from bedrock_spark.outputs.reconcile import (
    BAD,
    BATCH,
    ERROR,
    EXAMPLES,
    FALLBACK,
    OK,
    Origin,
    ShardReconciliation,
)
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import Storage, StoredObject

_LINES = ".jsonl.out"
_MANIFEST = f"/{layout.OUTPUT_MANIFEST_FILE}"


@dataclass
class JobOutput:
    """What one batch job left; `images` are keys of image files beside its lines.

    `job` is None where the ledger knows none of this id.
    """

    folder: str
    job: Job | None = None
    manifest: OutputManifest | None = None
    lines: Counter[str] = field(default_factory=Counter)
    images: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as the shard's reconciliation holds it."""
        manifest = self.manifest or OutputManifest()
        return {
            "job_id": self.folder.rsplit("/", 1)[-1],
            "attempt": self.job.attempt if self.job else attempt_of(self.folder),
            "lines": {kind: self.lines[kind] for kind in (OK, ERROR, BAD)},
            "input_tokens": manifest.input_tokens,
            "output_tokens": manifest.output_tokens,
            "images": manifest.images,
        }


def shard_inputs(storage: Storage, shard_id: str) -> list[StoredObject]:
    """Return every object that came back for a shard."""
    return [
        *storage.list(layout.outputs_prefix(shard_id)),
        *storage.list(layout.fallback_prefix(shard_id)),
    ]


def take_outputs(
    storage: Storage,
    inputs: Iterable[StoredObject],
    jobs: Sequence[Job],
    reconciliation: ShardReconciliation,
) -> list[JobOutput]:
    """Take the lines of every file, oldest attempt first, then the fallback's; compare counts."""
    found = _known(jobs)
    keys = [item.key for item in inputs]
    for key in sorted(keys, key=lambda key: (key.startswith(layout.FALLBACK), key)):
        if not key.endswith((_LINES, _MANIFEST)):
            if key.startswith(layout.OUTPUT) and is_image(key):
                _output_of(key, found).images.append(key)
            continue
        data = storage.read(key)
        if key.startswith(layout.FALLBACK):
            reconciliation.take(Origin(FALLBACK, source=key), read_lines(data))
            continue
        output = _output_of(key, found)
        if key.endswith(_LINES):
            output.lines += reconciliation.take(_origin(key, output.job), read_lines(data))
        elif (manifest := read_output_manifest(data)) is not None:
            output.manifest = manifest
        else:
            reconciliation.find("bad_manifest", f"{key}: is not a JSON object")
    outputs = [found[job_id] for job_id in sorted(found)]
    for output in outputs:
        reconciliation.compare(output.folder, output.lines, output.manifest, _counts(output.job))
    return outputs


def manifest_totals(outputs: Iterable[JobOutput]) -> dict[str, int]:
    """Add up what the output manifests of a shard's jobs say."""
    known = [output.manifest for output in outputs if output.manifest is not None]
    return {
        "input": sum(m.input_tokens or 0 for m in known),
        "output": sum(m.output_tokens or 0 for m in known),
        "images": sum(m.images or 0 for m in known),
    }


def images_of(
    storage: Storage, outputs: Iterable[JobOutput], reconciliation: ShardReconciliation
) -> AnswerImages:
    """Return the images of a shard; files that belong to no record become a finding."""
    keys = [key for output in outputs for key in output.images]
    files, foreign = by_record(keys, reconciliation.expected)
    if foreign:
        reconciliation.find("foreign_file", "; ".join(foreign[:EXAMPLES]), len(foreign))
    return AnswerImages(storage, reconciliation.shard_id, files)


def _known(jobs: Sequence[Job]) -> dict[str, JobOutput]:
    ids = {job.seen.job_arn.rsplit("/", 1)[-1]: job for job in jobs if job.seen is not None}
    return {job_id: JobOutput(f"job {job_id}", job) for job_id, job in ids.items()}


def _output_of(key: str, found: dict[str, JobOutput]) -> JobOutput:
    folder = key.rsplit("/", 1)[0]
    output = found.setdefault(folder.rsplit("/", 1)[-1], JobOutput(folder))
    output.folder = folder
    return output


def _origin(key: str, job: Job | None) -> Origin:
    arn = job.seen.job_arn if job is not None and job.seen is not None else None
    return Origin(BATCH, attempt_of(key), arn, key)


def attempt_of(key: str) -> int | None:
    """Return the attempt that is written in an output's path: output/<shard>/a<n>-<digest>/…"""
    number = key.split("/")[2].removeprefix("a").split("-", 1)[0] if key.count("/") > 1 else ""
    return int(number) if number.isascii() and number.isdecimal() else None


def _counts(job: Job | None) -> dict[str, int | None]:
    """Return the job's own counts; of one that is not over they are on their way."""
    if job is None or job.seen is None or not job.is_settled:
        return {}
    return {OK: job.seen.succeeded, ERROR: job.seen.failed}
