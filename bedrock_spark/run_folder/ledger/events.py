"""The events of a ledger, as structs. `state.py` says what each of them changes.

An event is written as one JSON object, whose member `event` names its kind:

    {"event": "submitting", "shard_id": …, "attempt": 1, "job_name": …, "token": …, "at": …}

Optional members are left out if they have their default. `at` is a time in seconds since the epoch.
A kind or a member that a newer version wrote is not understood; it is counted, and reported as a
finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.run_folder.job_plan import JobPlan

_KIND = "event"
# An event as it is read: it may be of a newer version.
RawEvent: TypeAlias = Mapping[str, Any]


class Event(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field=_KIND
):
    """The base of all events."""


class Submitting(Event, frozen=True, tag="submitting"):
    """A job is about to be created: the intent, written before the call (write-ahead).

    input, records, target: only if they are not those of the shard and of the home target
    longer: the output tokens that its records may use because their limits were raised
    region, model, folder: where the job is made; the folder only if it is not the run folder
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    at: float
    input: str | None = None
    records: int | None = None
    target: str = ""
    region: str | None = None
    model: str | None = None
    folder: str | None = None
    longer: int = 0


class Submitted(Event, frozen=True, tag="submitted"):
    """The service accepted a job."""

    job_name: str
    job_arn: str
    at: float


class Withdrawn(Event, frozen=True, tag="withdrawn"):
    """An announced job is not created: its target allows none, and another target does."""

    job_name: str
    at: float


class JobTokens(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The input and output tokens of a job; in JSON, an array of both."""

    input: int
    output: int

    def __iter__(self) -> Iterator[int]:
        """Yield both numbers."""
        return iter((self.input, self.output))


class Seen(Event, frozen=True, tag="seen"):
    """What a listing shows of a job.

    counts: records in total, processed, succeeded, failed
    times: when the job was submitted, when it ended
    tokens: input and output tokens of its output manifest; images: those that it counts
    """

    job_name: str
    job_arn: str
    status: str
    message: str | None
    counts: tuple[int | None, int | None, int | None, int | None]
    at: float
    times: tuple[float | None, float | None] | None = None
    tokens: JobTokens | None = None
    images: int | None = None


class Duplicate(Event, frozen=True, tag="duplicate"):
    """A second job has the name of one that is known: noted when it is found, and when it ends.

    region: whose listing showed it
    """

    job_name: str
    job_arn: str
    status: str
    at: float
    region: str = ""


class Lost(Event, frozen=True, tag="lost"):
    """No listing shows a job, and the service does not find its ARN: it counts as failed.

    job_arn: empty if it was never known
    answers: how many records its output answers
    """

    job_name: str
    job_arn: str
    message: str
    answers: int
    at: float


class Stopping(Event, frozen=True, tag="stopping"):
    """A job is about to be stopped because of `user` or `deadline`: written before the call."""

    job_name: str
    why: str
    at: float


class Again(Event, frozen=True, tag="again"):
    """A finished shard gets one more job, for some of its records. longer: as for its job."""

    shard_id: str
    attempt: int
    input: str
    records: int
    sha256: str
    at: float
    longer: int = 0


class Finished(Event, frozen=True, tag="finished"):
    """A shard needs no more jobs, though its last job did not complete."""

    shard_id: str
    why: str
    at: float


class Excused(Event, frozen=True, tag="excused"):
    """A job without an answer uses up no attempt: its shard gets another job after a resume."""

    job_name: str
    at: float


class Held(Event, frozen=True, tag="held"):
    """Nothing more is submitted until the run is resumed.

    The kind is `stopped`, `refused`, `breaker` or `no_slots`.
    """

    kind: str
    reason: str
    at: float


class Resumed(Event, frozen=True, tag="resumed"):
    """A run that was held goes on."""

    at: float


class Swept(Event, frozen=True, tag="swept"):
    """From which time on jobs must be listed, and what is known of the slots, by target.

    floors: low watermarks by Region, in the service's time; every job submitted before is settled
    at: when the jobs of other runs were counted
    """

    floors: dict[str, float | None]
    slots: dict[str, dict[str, Any]]
    at: float | None


class Late(Event, frozen=True, tag="late"):
    """The jobs that will miss the deadline, once it is time to give them up; None before that."""

    job_names: list[str] | None
    at: float


class SetAside(Event, frozen=True, tag="set_aside"):
    """The object with this number is damaged; it was the last one when that was found."""

    object: int
    why: str
    at: float


class Finding(Event, frozen=True, tag="finding"):
    """Something does not fit."""

    kind: str
    shard_id: str
    detail: str
    at: float


AnyEvent = (
    Submitting
    | Submitted
    | Withdrawn
    | Seen
    | Duplicate
    | Lost
    | Stopping
    | Again
    | Finished
    | Excused
    | Held
    | Resumed
    | Swept
    | Late
    | SetAside
    | Finding
)
_EVENTS = msgspec.json.Decoder(list[AnyEvent])
_KINDS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__
}


class ExtraAttempt(msgspec.Struct, frozen=True):
    """One more attempt at a finished shard: its number and its input.

    longer: the output tokens that its records may use because their limits were raised
    """

    attempt: int
    input_key: str
    records: int
    sha256: str
    longer: int = 0


def submitting(plan: JobPlan, now: float) -> Submitting:
    """Return the intent to create the job of a plan."""
    return Submitting(
        plan.shard_id,
        plan.attempt,
        plan.job_name,
        plan.token,
        now,
        input=plan.part_key,
        records=plan.records,
        target=plan.target,
        region=plan.place.region if plan.place else None,
        model=plan.place.model_id if plan.place else None,
        folder=plan.place.folder if plan.place else None,
        longer=plan.longer,
    )


def seen(
    job: SeenJob,
    now: float,
    tokens: JobTokens | None = None,
    images: int | None = None,
) -> Seen:
    """Return the event of a job in a listing, with the tokens and images of its manifest."""
    return Seen(
        job.job_name,
        job.job_arn,
        job.status,
        job.message,
        (job.total, job.processed, job.succeeded, job.failed),
        now,
        times=None if job.submitted_at is None else (job.submitted_at, job.ended_at),
        tokens=tokens,
        images=images,
    )


def again(shard_id: str, extra: ExtraAttempt, now: float) -> Again:
    """Return the event by which a finished shard gets an extra attempt."""
    values = extra.attempt, extra.input_key, extra.records, extra.sha256
    return Again(shard_id, *values, now, extra.longer)


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as it is written."""
    values: dict[str, Any] = msgspec.to_builtins(event)
    return values


def read_event(values: RawEvent) -> tuple[Event | None, list[str]]:
    """Return an event, and the names that this version does not know: `kind`, or `kind.member`.

    The event is None if its kind is unknown. Raises msgspec.ValidationError if a member has another
    type than this version writes.
    """
    name = values[_KIND]
    kind = _KINDS.get(name)
    if kind is None:
        return None, [name]
    newer = values.keys() - set(kind.__struct_fields__) - {_KIND}
    known = {member: value for member, value in values.items() if member not in newer}
    return msgspec.convert(known, kind), [f"{name}.{member}" for member in sorted(newer)]


def decode_events(data: bytes) -> list[AnyEvent] | None:
    """Return the events of a JSON array; None if it has anything that this version does not write.

    Then `read_event` says what. Raises msgspec.DecodeError if it is no JSON.
    """
    try:
        return _EVENTS.decode(data)
    except msgspec.ValidationError:
        return None
