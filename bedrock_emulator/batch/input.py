"""What a batch job reads: one `.jsonl` object or all of those under a prefix.

Checked while the job is Validating, as the service documents it: the objects are there and end in
`.jsonl`, every line is a JSON object, numbers and sizes are within the quotas. What is in
`modelInput` is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bedrock_emulator.errors import ServiceError
from bedrock_emulator.faults import Quotas
from bedrock_emulator.s3.objects import ObjectError, ObjectStore, lines, split_uri
from bedrock_emulator.wire.request_parsing import load_json

_SUFFIX = ".jsonl"


class JobInputError(Exception):
    """Input that makes the whole job fail; the text becomes the job's message."""


@dataclass(frozen=True)
class InputFile:
    """One input object. `name` is its path below the job's s3Uri: the output is named for it."""

    bucket: str
    key: str
    name: str
    size: int


def locate(objects: ObjectStore, uri: str) -> list[InputFile]:
    """Return the input objects of a job, by key.

    Under a prefix, objects that do not end in `.jsonl` are passed over: media files may lie there.
    """
    bucket, key = split_uri(uri)
    single = objects.find(bucket, key) if key and not key.endswith("/") else None
    if single:
        if not key.endswith(_SUFFIX):
            raise JobInputError(f"The input file {uri} must have the extension {_SUFFIX}.")
        return [InputFile(bucket, key, key.rsplit("/", 1)[-1], single.size)]
    prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
    found = [
        InputFile(bucket, item.key, item.key.removeprefix(prefix), item.size)
        for item in objects.listing(bucket, prefix)
        if item.key.endswith(_SUFFIX)
    ]
    if not found:
        raise JobInputError(f"No {_SUFFIX} file was found at {uri}.")
    return found


def raw_records(objects: ObjectStore, file: InputFile) -> Iterator[bytes]:
    """Yield the lines of an input file that are not blank."""
    for line in lines(objects.chunks(file.bucket, file.key)):
        if line.strip():
            yield line


def check_input(objects: ObjectStore, job_arn: str, uri: str, quotas: Quotas) -> int:
    """Return the number of records of a job; raises JobInputError if it cannot run."""
    try:
        files = locate(objects, uri)
        _check_sizes(files, quotas)
        total = sum(_count(objects, file, quotas.max_records) for file in files)
    except ObjectError as exc:
        raise JobInputError(str(exc)) from exc
    if total < quotas.min_records:
        raise JobInputError(
            f"Batch job {job_arn} contains less records ({total}) than the required minimum of: "
            f"{quotas.min_records}"
        )
    if total > quotas.max_records:
        raise JobInputError(
            f"Batch job {job_arn} contains more records ({total}) than the allowed maximum of: "
            f"{quotas.max_records}"
        )
    return total


def _check_sizes(files: list[InputFile], quotas: Quotas) -> None:
    for file in files:
        if file.size > quotas.max_file_bytes:
            raise JobInputError(
                f"Input file {file.name} has {file.size} bytes, more than the allowed maximum of: "
                f"{quotas.max_file_bytes}"
            )
    size = sum(file.size for file in files)
    if size > quotas.max_job_bytes:
        raise JobInputError(
            f"The input files have {size} bytes together, more than the allowed maximum of: "
            f"{quotas.max_job_bytes}"
        )


def _count(objects: ObjectStore, file: InputFile, most: int) -> int:
    count = 0
    for count, line in enumerate(raw_records(objects, file), start=1):
        try:
            record = load_json(line)
        except ServiceError as exc:
            raise JobInputError(
                f"Line {count} of input file {file.name} is not valid JSON."
            ) from exc
        if not isinstance(record, dict):
            raise JobInputError(f"Line {count} of input file {file.name} is not a JSON object.")
        if count > most:
            raise JobInputError(
                f"Input file {file.name} contains more records than the allowed maximum of: {most}"
            )
    return count
