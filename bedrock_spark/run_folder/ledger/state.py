"""The state that a ledger's events leave: every job, and whether submitting is held.

This is event sourcing (https://martinfowler.com/eaaDev/EventSourcing.html): the events are the
record, and the state is what comes out when they are applied in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from sys import intern
from typing import Any

import msgspec
from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import EXPIRED, FAILED, STOPPED, SeenJob
from bedrock_spark.run_folder.job_plan import Place, place_of
from bedrock_spark.run_folder.ledger.events import (
    Again,
    Duplicate,
    Event,
    Excused,
    ExtraAttempt,
    Finding,
    Finished,
    Held,
    JobTokens,
    Late,
    Lost,
    RawEvent,
    Resumed,
    Seen,
    SetAside,
    Stopping,
    Submitted,
    Submitting,
    Swept,
    Withdrawn,
    read_event,
)
from bedrock_spark.run_folder.ledger.streak import Streak

# The kinds of a hold.
STOPPED_BY_USER, REFUSED, BREAKER, NO_SLOTS = "stopped", "refused", "breaker", "no_slots"


class Job(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One attempt at one shard, as far as the ledger knows.

    input_key: the object that it reads, if that is not the whole shard
    records: how many records that object has
    target: the name of the target that runs it; "" is the home target
    place: where that is; None if the intent does not say
    stopping: why the run asked the service to stop it (`user` or `deadline`), or None
    announced_at: when the intent to create it was written
    tokens: the input and output tokens of its output manifest
    settled_at: when the run first saw that it is over
    images: the images that the manifest counts
    known_at: when a controller learnt its ARN
    longer: the output tokens that its records may use because their limits were raised
    is_excused: it answered nothing while the breaker held the run, and uses up no attempt
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    seen: SeenJob | None = None
    input_key: str | None = None
    records: int | None = None
    target: str = ""
    place: Place | None = None
    stopping: str | None = None
    announced_at: float | None = None
    tokens: JobTokens | None = None
    known_at: float | None = None
    settled_at: float | None = None
    images: int | None = None
    is_excused: bool = False
    longer: int = 0

    def seen_as(
        self,
        seen: SeenJob,
        at: float,
        tokens: JobTokens | None = None,
        images: int | None = None,
    ) -> Job:
        """Return the job as the service showed it at a time; `tokens`, `images` if it has them."""
        return replace(
            self,
            seen=seen,
            tokens=tokens if tokens is not None else self.tokens,
            images=images if images is not None else self.images,
            known_at=self.known_at if self.known_at is not None else at,
            settled_at=at if seen.is_settled and not self.is_settled else self.settled_at,
        )

    @property
    def is_settled(self) -> bool:
        """Tell whether the batch job is over."""
        return self.seen is not None and self.seen.is_settled

    @property
    def has_answers(self) -> bool | None:
        """Tell whether a settled job answered a record; None if it says nothing about other jobs.

        That is so if it never began because the account was busy, if a person or the deadline
        stopped it, if it came to its end and neither the service nor a manifest counts answers, and
        if its ARN was never known.
        """
        if self.seen is None or not self.is_settled or not self.seen.job_arn:
            return None
        if self.seen.succeeded:
            return True
        if self.seen.status in (STOPPED, EXPIRED) or self.stopping is not None:
            return None
        if self.seen.succeeded is None and self.seen.status != FAILED:
            return True if any(self.tokens or ()) else None
        return False


@dataclass(frozen=True)
class Hold:
    """Why nothing more is submitted until the run is resumed.

    The kind is `stopped` by the user, `refused` by the service, `breaker` (the jobs answer nothing)
    or `no_slots` (the account allows no job).
    """

    kind: str
    reason: str


@dataclass
class LedgerState:
    """The state that a ledger's events leave.

    finished: shards that need no more jobs, and why
    extra_attempts: by shard, the newest extra attempt that a finished shard was given
    duplicates: by ARN, the jobs that have the name of another job
    streak: the last jobs that answered nothing
    floors, slots, swept_at: see the event `Swept`; late: see the event `Late`
    newer: how often each unknown kind or member of an event occurred; a newer version wrote them
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    extra_attempts: dict[str, ExtraAttempt] = field(default_factory=dict)
    duplicates: dict[str, Duplicate] = field(default_factory=dict)
    hold: Hold | None = None
    streak: Streak = field(default_factory=Streak)
    floors: dict[str, float | None] = field(default_factory=dict)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    swept_at: float | None = None
    late: list[str] | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    newer: Counter[str] = field(default_factory=Counter)

    def apply_raw(self, values: RawEvent) -> None:
        """Apply an event as it was read; count what this version does not know of it."""
        event, unknown = read_event(values)
        self.newer.update(unknown)
        if event is not None:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Apply one event."""
        _APPLY[type(event)](self, event)

    def all_findings(self) -> list[dict[str, Any]]:
        """Return the findings, and one for each kind or member of a newer version."""
        newer = [
            {
                "kind": "newer_event",
                "shard_id": "",
                "detail": f"{name}: written by a newer version, not understood by this one",
                "count": count,
            }
            for name, count in sorted(self.newer.items())
        ]
        return [*self.findings, *newer]


def _submitting(state: LedgerState, event: Submitting) -> None:
    job = Job(
        *(event.shard_id, event.attempt, event.job_name, event.token),
        input_key=event.input,
        records=event.records,
        target=event.target,
        place=_place(event),
        announced_at=event.at,
        longer=event.longer,
    )
    state.jobs.setdefault(event.job_name, job)


def _place(event: Submitting) -> Place | None:
    if event.region is None or event.model is None:
        return None
    return place_of(event.region, event.model, event.folder)


def _submitted(state: LedgerState, event: Submitted) -> None:
    job = state.jobs.get(event.job_name)
    if job is not None and job.seen is None:
        seen = SeenJob(event.job_arn, job.job_name, job.token, "Submitted")
        state.jobs[job.job_name] = job.seen_as(seen, event.at)


def _withdrawn(state: LedgerState, event: Withdrawn) -> None:
    job = state.jobs.get(event.job_name)
    if job is not None and job.seen is None:
        del state.jobs[event.job_name]


def _seen(state: LedgerState, event: Seen) -> None:
    job = state.jobs.get(event.job_name)
    if job is None:
        return
    seen = SeenJob(
        event.job_arn,
        job.job_name,
        job.token,
        intern(event.status),
        event.message,
        *event.counts,
        *(event.times or ()),
    )
    _replace_job(state, job, job.seen_as(seen, event.at, event.tokens, event.images))


def _duplicate(state: LedgerState, event: Duplicate) -> None:
    job = state.jobs.get(event.job_name)
    if event.job_arn not in state.duplicates and job is not None:
        known = job.seen.job_arn if job.seen is not None else "another job"
        detail = f"{event.job_arn} has the name of {known}, {event.job_name}; it is stopped"
        _add_finding(state, "duplicate_job", job.shard_id, detail)
    state.duplicates[event.job_arn] = event


def _lost(state: LedgerState, event: Lost) -> None:
    job = state.jobs.get(event.job_name)
    if job is not None:
        _replace_job(state, job, job.seen_as(lost_job(event, job.token), event.at))
        detail = f"{event.job_arn or event.job_name}: {event.message}"
        _add_finding(state, "job_lost", job.shard_id, detail)


def lost_job(event: Lost, token: str) -> SeenJob:
    """Return a lost job as if the service had shown that it failed."""
    # Without an ARN nothing says which output is the job's: then it claims no answers.
    succeeded = event.answers if event.job_arn else None
    return SeenJob(event.job_arn, event.job_name, token, FAILED, event.message, succeeded=succeeded)


def _replace_job(state: LedgerState, before: Job, job: Job) -> None:
    state.jobs[job.job_name] = job
    if job.is_settled and not before.is_settled:
        state.streak.note(job.job_name, has_answers=job.has_answers)


def _stopping(state: LedgerState, event: Stopping) -> None:
    job = state.jobs.get(event.job_name)
    if job is not None:
        state.jobs[job.job_name] = replace(job, stopping=event.why)


def _finished(state: LedgerState, event: Finished) -> None:
    state.finished[event.shard_id] = event.why
    state.extra_attempts.pop(event.shard_id, None)


def _again(state: LedgerState, event: Again) -> None:
    state.finished.pop(event.shard_id, None)
    state.extra_attempts[event.shard_id] = ExtraAttempt(
        event.attempt, event.input, event.records, event.sha256, event.longer
    )


def _excused(state: LedgerState, event: Excused) -> None:
    job = state.jobs.get(event.job_name)
    if job is not None:
        state.jobs[job.job_name] = replace(job, is_excused=True)


def _held(state: LedgerState, event: Held) -> None:
    state.hold = Hold(event.kind, event.reason)


def _resumed(state: LedgerState, event: Resumed) -> None:
    state.hold = None
    state.streak = Streak()


def _swept(state: LedgerState, event: Swept) -> None:
    state.floors, state.slots = dict(event.floors), dict(event.slots)
    state.swept_at = event.at


def _late(state: LedgerState, event: Late) -> None:
    state.late = event.job_names


def _set_aside(state: LedgerState, event: SetAside) -> None:
    # The lost object may have announced jobs that were submitted before an earlier low watermark.
    state.floors.clear()
    detail = f"ledger object {event.object}: {event.why}; it was set aside"
    _add_finding(state, "ledger_object_set_aside", "", detail)


def _finding(state: LedgerState, event: Finding) -> None:
    _add_finding(state, event.kind, event.shard_id, event.detail)


def _add_finding(state: LedgerState, kind: str, shard_id: str, detail: str) -> None:
    state.findings.append({"kind": kind, "shard_id": shard_id, "detail": detail, "count": 1})


_APPLY: dict[type[Event], Callable[[LedgerState, Any], None]] = {
    Submitting: _submitting,
    Submitted: _submitted,
    Withdrawn: _withdrawn,
    Seen: _seen,
    Duplicate: _duplicate,
    Lost: _lost,
    Stopping: _stopping,
    Again: _again,
    Finished: _finished,
    Excused: _excused,
    Held: _held,
    Resumed: _resumed,
    Swept: _swept,
    Late: _late,
    SetAside: _set_aside,
    Finding: _finding,
}
