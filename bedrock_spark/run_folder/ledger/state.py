"""What the events of a ledger come to: every job, and whether submitting is held.

Kinds of events and members of them that a newer version wrote are counted and otherwise passed
over; they stay in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.run_folder.ledger.events import Event, ExtraAttempt

KNOWN: dict[str, frozenset[str]] = {
    "submitting": frozenset(
        {"shard_id", "attempt", "job_name", "token", "input", "records", "target", "at"}
    ),
    "submitted": frozenset({"job_name", "job_arn", "at"}),
    "seen": frozenset(
        {"job_name", "job_arn", "status", "message", "counts", "times", "tokens", "at"}
    ),
    "stopping": frozenset({"job_name", "why", "at"}),
    "again": frozenset({"shard_id", "attempt", "input", "records", "sha256", "at"}),
    "finished": frozenset({"shard_id", "why", "at"}),
    "held": frozenset({"kind", "reason", "at"}),
    "resumed": frozenset({"at"}),
    "swept": frozenset({"floors", "slots", "at"}),
    "late": frozenset({"job_names", "at"}),
    "set_aside": frozenset({"object", "why", "at"}),
    "finding": frozenset({"kind", "shard_id", "detail", "at"}),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one shard, as far as the ledger knows.

    input_key: what it reads, where that is not the shard's own object
    records: how many records that has
    stopping: why the run asked it to stop (user, deadline), if it did
    announced_at: when it was about to be created
    tokens: input and output tokens that its output manifest has
    """

    shard_id: str
    attempt: int
    job_name: str
    token: str
    seen: SeenJob | None = None
    input_key: str | None = None
    records: int | None = None
    target: str = ""
    stopping: str | None = field(default=None)
    announced_at: float | None = field(default=None, compare=False)
    tokens: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def is_settled(self) -> bool:
        """Tell whether the batch job is over."""
        return self.seen is not None and self.seen.is_settled


@dataclass(frozen=True)
class Hold:
    """Why nothing more is submitted: `stopped` by the user, or `refused` by the service."""

    kind: str
    reason: str


@dataclass
class LedgerState:
    """The state that a ledger's events leave.

    finished: shards that need no more jobs, and why
    again: jobs that shards shall have though theirs are over
    floors, slots, swept_at: see the event `swept`; late: see the event `late`
    newer: how often there were kinds or members of events that this version does not know
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    again: dict[str, ExtraAttempt] = field(default_factory=dict)
    hold: Hold | None = None
    floors: dict[str, float | None] = field(default_factory=dict)
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    swept_at: float | None = None
    late: list[str] | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    newer: Counter[str] = field(default_factory=Counter)

    def apply(self, event: Event) -> None:
        """Let one event happen."""
        kind = event["event"]
        known = KNOWN.get(kind)
        if known is None:
            self.newer[kind] += 1
            return
        if event.keys() - known != {"event"}:
            self.newer.update(f"{kind}.{name}" for name in event.keys() - known - {"event"})
        _APPLY[kind](self, event)

    def all_findings(self) -> list[dict[str, Any]]:
        """Return what does not fit, and what a newer version wrote."""
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


def _submitting(state: LedgerState, event: Event) -> None:
    name = event["job_name"]
    if name not in state.jobs:
        state.jobs[name] = Job(
            event["shard_id"],
            event["attempt"],
            name,
            event["token"],
            input_key=event.get("input"),
            records=event.get("records"),
            target=event.get("target", ""),
            announced_at=event.get("at"),
        )


def _submitted(state: LedgerState, event: Event) -> None:
    job = state.jobs.get(event["job_name"])
    if job is not None and job.seen is None:
        seen = SeenJob(event["job_arn"], job.job_name, job.token, "Submitted")
        state.jobs[job.job_name] = replace(job, seen=seen)


def _seen(state: LedgerState, event: Event) -> None:
    job = state.jobs.get(event["job_name"])
    if job is None:
        return
    found = SeenJob(
        event["job_arn"],
        job.job_name,
        job.token,
        event["status"],
        event["message"],
        *event["counts"],
        *(event.get("times") or ()),
    )
    tokens = event.get("tokens")
    state.jobs[job.job_name] = replace(
        job, seen=found, tokens=(tokens[0], tokens[1]) if tokens else job.tokens
    )


def _stopping(state: LedgerState, event: Event) -> None:
    job = state.jobs.get(event["job_name"])
    if job is not None:
        state.jobs[job.job_name] = replace(job, stopping=event["why"])


def _finished(state: LedgerState, event: Event) -> None:
    state.finished[event["shard_id"]] = event["why"]
    state.again.pop(event["shard_id"], None)


def _again(state: LedgerState, event: Event) -> None:
    state.finished.pop(event["shard_id"], None)
    state.again[event["shard_id"]] = ExtraAttempt(
        event["attempt"], event["input"], event["records"], event["sha256"]
    )


def _held(state: LedgerState, event: Event) -> None:
    state.hold = Hold(event["kind"], event["reason"])


def _resumed(state: LedgerState, event: Event) -> None:
    state.hold = None


def _swept(state: LedgerState, event: Event) -> None:
    state.floors, state.slots = dict(event["floors"]), dict(event["slots"])
    state.swept_at = event["at"]


def _late(state: LedgerState, event: Event) -> None:
    state.late = event["job_names"]


def _set_aside(state: LedgerState, event: Event) -> None:
    # What the lost object said may be of jobs submitted before the floor of an earlier one.
    state.floors.clear()
    detail = f"ledger object {event['object']}: {event['why']}; it was set aside"
    _add_finding(state, "ledger_object_set_aside", "", detail)


def _finding(state: LedgerState, event: Event) -> None:
    _add_finding(state, event["kind"], event["shard_id"], event["detail"])


def _add_finding(state: LedgerState, kind: str, shard_id: str, detail: str) -> None:
    state.findings.append({"kind": kind, "shard_id": shard_id, "detail": detail, "count": 1})


_APPLY: dict[str, Callable[[LedgerState, Event], None]] = {
    "submitting": _submitting,
    "submitted": _submitted,
    "seen": _seen,
    "stopping": _stopping,
    "again": _again,
    "finished": _finished,
    "held": _held,
    "resumed": _resumed,
    "swept": _swept,
    "late": _late,
    "set_aside": _set_aside,
    "finding": _finding,
}
