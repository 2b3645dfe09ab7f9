"""The input of a batch job: one `.jsonl` object, or all `.jsonl` objects under a prefix.

It is checked while the job is Validating, as the service documents it. The objects must exist and
end in `.jsonl`, every line must be a JSON object, and record counts and sizes must be within the
quotas. `modelInput` is not checked here.
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
    """The input makes the whole job fail. The text becomes the job's message."""


@dataclass(frozen=True)
class InputFile:
    """One input object, with its size in bytes.

    `name` is its path below the job's s3Uri. Its output object is `<name>.out`.
    """

    bucket: str
    key: str
    name: str
    size: int


def find_input_files(objects: ObjectStore, uri: str) -> list[InputFile]:
    """Return the input objects of a job, sorted by key. Raise JobInputError if there is none.

    Under a prefix, objects that do not end in `.jsonl` are skipped: media files may be there.
    """
    bucket, key = split_uri(uri)
    info = objects.find(bucket, key) if key and not key.endswith("/") else None
    if info:
        if not key.endswith(_SUFFIX):
            raise JobInputError(f"The input file {uri} must have the extension {_SUFFIX}.")
        return [InputFile(bucket, key, key.rsplit("/", 1)[-1], info.size)]
    prefix = f"{key.rstrip('/')}/" if key.strip("/") else ""
    files = [
        InputFile(bucket, item.key, item.key.removeprefix(prefix), item.size)
        for item in objects.listing(bucket, prefix)
        if item.key.endswith(_SUFFIX)
    ]
    if not files:
        raise JobInputError(f"No {_SUFFIX} file was found at {uri}.")
    return files


def raw_records(objects: ObjectStore, file: InputFile) -> Iterator[bytes]:
    """Yield the lines of an input file that are not blank."""
    for line in lines(objects.chunks(file.bucket, file.key)):
        if line.strip():
            yield line


def check_input(objects: ObjectStore, job_arn: str, uri: str, quotas: Quotas) -> int:
    """Return the number of records of a job. Raise JobInputError if the job cannot run."""
    try:
        files = find_input_files(objects, uri)
        _check_sizes(files, quotas)
        total = sum(_count_records(objects, file, quotas.max_records) for file in files)
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


def _count_records(objects: ObjectStore, file: InputFile, max_records: int) -> int:
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
        if count > max_records:
            raise JobInputError(
                f"Input file {file.name} contains more records than the allowed maximum of: "
                f"{max_records}"
            )
    return count
