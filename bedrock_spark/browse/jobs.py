"""The batch jobs of a run, page by page: filtered, searched, sorted. And one job with its objects.

Everything is read from the ledger's state and from listings of the run folder; AWS is not asked for
a job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.clock import iso_time
from bedrock_spark.errors import ConfigError
from bedrock_spark.page.short_values import shortened_json
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.storage import Storage

# The status of a job that is in the ledger, and that no listing has shown yet.
ANNOUNCED = "Announced"
# What a filter may say besides a status: jobs that are not over.
ACTIVE = "active"
JOBS_A_PAGE = 100
# How many objects of a job are listed: a job of an image model may write very many.
_MOST_OBJECTS = 200
# How many bytes of an object are shown.
HEAD_BYTES = 64 << 10
# The folders of a run folder whose objects are lines of text, and how their names end.
_SHOWN_FOLDERS = (*(layout.SHARDS, layout.REMAINDERS, layout.OUTPUT, layout.FALLBACK, layout.KEPT),)
_SHOWN_ENDINGS = (".jsonl", ".jsonl.out", ".json.out")


@dataclass(frozen=True)
class ShownJob:
    """A batch job as a page shows it.

    status: of the service, or ANNOUNCED; message: of the service, if it has one
    announced_at, submitted_at, ended_at: ISO 8601 in UTC
    total, succeeded, failed, processed: numbers of records, None if they are not known
    stopping: why the run asked the service to stop it: `user` or `deadline`
    """

    name: str
    arn: str | None
    shard_id: str
    attempt: int
    status: str
    message: str | None
    announced_at: str | None
    submitted_at: str | None
    ended_at: str | None
    seconds: float | None
    total: int | None
    processed: int | None
    succeeded: int | None
    failed: int | None
    tokens: tuple[int, int] | None
    target: str
    region: str | None
    model_id: str | None
    stopping: str | None
    is_settled: bool


@dataclass(frozen=True)
class JobsPage:
    """A page of jobs.

    counts: all jobs of the run by status; found: how many fit the filter
    page: the number of this page, from 1; pages: how many there are, at least 1
    """

    jobs: tuple[ShownJob, ...]
    counts: dict[str, int]
    found: int
    page: int
    pages: int


@dataclass(frozen=True)
class JobObject:
    """An object that a job reads or writes.

    size: in bytes, None if the object is not there; expected: the size that prepare noted
    is_text: whether its head can be shown
    """

    key: str
    size: int | None
    expected: int | None = None
    is_text: bool = False


@dataclass(frozen=True)
class JobObjects:
    """What a job reads and writes. has_more: there are more outputs than these."""

    inputs: tuple[JobObject, ...]
    outputs: tuple[JobObject, ...]
    has_more: bool


@dataclass(frozen=True)
class Head:
    """The beginning of an object as lines of text. is_whole: whether this is all of it."""

    key: str
    size: int
    lines: tuple[str, ...]
    is_whole: bool


def _begin(job: Job) -> float:
    seen = job.seen
    known = (seen.submitted_at if seen is not None else None, job.announced_at, job.known_at)
    return next((at for at in known if at is not None), 0.0)


def _seconds(job: Job) -> float | None:
    seen = job.seen
    if seen is None or seen.submitted_at is None or seen.ended_at is None:
        return None
    return seen.ended_at - seen.submitted_at


def _failed(job: Job) -> int:
    return (job.seen.failed or 0) if job.seen is not None else 0


# How jobs may be sorted: the name of the order, and what it sorts by.
ORDERS: Mapping[str, Callable[[Job], tuple[float, str]]] = {
    "newest": lambda job: (-_begin(job), job.job_name),
    "oldest": lambda job: (_begin(job), job.job_name),
    "shard": lambda job: (job.attempt, job.shard_id),
    "longest": lambda job: (-(_seconds(job) or 0.0), job.job_name),
    "most failed records": lambda job: (-float(_failed(job)), job.job_name),
}


def status_of_job(job: Job) -> str:
    """Return the status of a job as the service says it, or ANNOUNCED."""
    return job.seen.status if job.seen is not None else ANNOUNCED


def jobs_page(
    jobs: Iterable[Job], status: str = "", text: str = "", order: str = "newest", page: int = 1
) -> JobsPage:
    """Return a page of the jobs that fit a filter.

    status: one status, ACTIVE, or "" for all; text: a part of a shard id, name, ARN or message
    Raises ConfigError if the order is none of ORDERS.
    """
    if order not in ORDERS:
        raise ConfigError(f"sort={order}: jobs can be sorted by {', '.join(ORDERS)}")
    counts: Counter[str] = Counter()
    found: list[Job] = []
    needle = text.casefold()
    for job in jobs:
        own = status_of_job(job)
        counts[own] += 1
        fits = not status or own == status or (status == ACTIVE and not job.is_settled)
        if fits and (not needle or needle in _words(job)):
            found.append(job)
    found.sort(key=ORDERS[order])
    if order == "shard":
        found.sort(key=lambda job: job.shard_id)
    pages = max(1, -(-len(found) // JOBS_A_PAGE))
    page = min(max(1, page), pages)
    first = (page - 1) * JOBS_A_PAGE
    shown = tuple(shown_job(job) for job in found[first : first + JOBS_A_PAGE])
    return JobsPage(shown, dict(sorted(counts.items())), len(found), page, pages)


def _words(job: Job) -> str:
    seen = job.seen
    parts = [job.job_name, job.shard_id]
    parts += [seen.job_arn or "", seen.message or ""] if seen is not None else []
    return "\n".join(parts).casefold()


def shown_job(job: Job) -> ShownJob:
    """Return a job as a page shows it."""
    seen, place = job.seen, job.place
    return ShownJob(
        name=job.job_name,
        arn=(seen.job_arn or None) if seen is not None else None,
        shard_id=job.shard_id,
        attempt=job.attempt,
        status=status_of_job(job),
        message=seen.message if seen is not None else None,
        announced_at=iso_time(job.announced_at),
        submitted_at=iso_time(seen.submitted_at) if seen is not None else None,
        ended_at=iso_time(seen.ended_at or job.settled_at) if seen is not None else None,
        seconds=_seconds(job),
        total=(seen.total if seen is not None else None) or job.records,
        processed=seen.processed if seen is not None else None,
        succeeded=seen.succeeded if seen is not None else None,
        failed=seen.failed if seen is not None else None,
        tokens=None if job.tokens is None else (job.tokens.input, job.tokens.output),
        target=job.target,
        region=place.region if place is not None else None,
        model_id=place.model_id if place is not None else None,
        stopping=job.stopping,
        is_settled=job.is_settled,
    )


def objects_of_job(storage: Storage, manifest: RunManifest, job: Job) -> JobObjects:
    """Return the objects that a job reads and writes in the run folder: two listings."""
    prefix, expected = _input_of(manifest, job)
    there = {o.key: o.size for o in storage.list(prefix)} if prefix else {}
    # The key of an object may be the beginning of another one's.
    keys = expected or [k for k in there if k == prefix or layout.is_folder(prefix)] or [prefix]
    inputs = tuple(
        JobObject(key, there.get(key), expected.get(key), is_text(key)) for key in keys if key
    )
    written = storage.scan(output_prefix(job.shard_id, job.attempt, job.token))
    listed = sorted(islice(written, _MOST_OBJECTS + 1), key=lambda o: o.key)
    outputs = tuple(
        JobObject(o.key, o.size, is_text=is_text(o.key)) for o in listed[:_MOST_OBJECTS]
    )
    return JobObjects(inputs, outputs, len(listed) > _MOST_OBJECTS)


def _input_of(manifest: RunManifest, job: Job) -> tuple[str, dict[str, int]]:
    """Return the object or folder that a job reads; if that is its shard, the sizes of its objects.

    The key is "" if the manifest does not have the shard.
    """
    if job.input_key is not None:
        return job.input_key, {}
    shard = next((s for s in manifest.shards if s.shard_id == job.shard_id), None)
    return ("", {}) if shard is None else (shard.key, shard.sizes)


def is_text(key: str) -> bool:
    """Tell whether the beginning of an object of a run folder can be shown as text."""
    parts = key.split("/")
    is_below = parts[0] in _SHOWN_FOLDERS and len(parts) > 1
    return is_below and key.endswith(_SHOWN_ENDINGS) and not {"", ".", ".."} & set(parts)


def head_of(storage: Storage, key: str, most: int = HEAD_BYTES) -> Head:
    """Return the first lines of an object, whose long lists and images are cut.

    most: how many bytes are read
    Raises ConfigError if the object is not one of lines, or does not exist.
    """
    if not is_text(key):
        folders = ", ".join(f"{folder}/" for folder in _SHOWN_FOLDERS)
        raise ConfigError(f"{key}: only objects of lines below {folders} are shown")
    found = next((o for o in islice(storage.scan(key), 10) if o.key == key), None)
    if found is None:
        raise ConfigError(f"{join_uri(storage.uri, key)}: there is no such object")
    data = storage.read_range(key, 0, most) if found.size else b""
    is_whole = len(data) >= found.size
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return Head(key, found.size, tuple(map(shortened_json, lines)), is_whole)
