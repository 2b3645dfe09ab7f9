"""The judge: what a finished run must be like, whatever happened to it.

`judge` only compares values; `evidence.py` gathers them. A fault names counts and ids, and never a
prompt or an answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OK, FALLBACK = "ok", "fallback"
LOST, PAID_TWICE, LEFT_BEHIND, LEDGER, NO_END = "lost", "paid twice", "left behind", "ledger", "end"
_EXAMPLES = 3


@dataclass(frozen=True)
class Fault:
    """Something that must not be. count: of records, objects or units"""

    kind: str
    text: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class ResultRow:
    """What a judge needs of one result row."""

    key: str
    record_id: str | None
    outcome: str
    served_by: str | None
    text: str | None


@dataclass(frozen=True)
class Evidence:
    """What is known of a finished run.

    keys: of all source rows; results: all result rows
    expected: the answers of an undisturbed run, by key
    paid: per job, the record ids that were paid for; undelivered: those whose line a fault left out
    calls: calls that were paid for; paid_again: payments beyond one per record, if the service says
    lost_replies: calls whose reply was lost
    unwritten: the most answers that the killed processes can have had in memory or in flight
    left_behind: temporary objects and files; units: provisioned throughputs
    ledger: what is wrong with the ledger
    """

    keys: Sequence[str]
    results: Sequence[ResultRow]
    expected: Mapping[str, str | None]
    paid: Mapping[str, Sequence[str]] = field(default_factory=dict)
    undelivered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    calls: int = 0
    paid_again: int | None = None
    lost_replies: int = 0
    unwritten: int = 0
    left_behind: Sequence[str] = ()
    units: Sequence[str] = ()
    ledger: Sequence[str] = ()


def judge(evidence: Evidence) -> list[Fault]:
    """Return every fault of a run; an empty list if there is none."""
    faults = [*_lost(evidence), *_paid_twice(evidence)]
    for what, names in (("temporary", evidence.left_behind), ("model units", evidence.units)):
        if names:
            faults.append(Fault(LEFT_BEHIND, f"{what}: {_some(names)}", len(names)))
    return faults + [Fault(LEDGER, problem) for problem in evidence.ledger]


def _lost(evidence: Evidence) -> list[Fault]:
    faults = []
    rows = Counter(row.key for row in evidence.results)
    absent = [key for key in evidence.keys if not rows[key]]
    unknown = sorted(rows.keys() - set(evidence.keys))
    repeated = [key for key, count in rows.items() if count > 1]
    for keys, what in (
        (absent, "source rows have no result"),
        (repeated, "source rows have more than one result"),
        (unknown, "results have no source row"),
    ):
        if keys:
            faults.append(Fault(LOST, f"{len(keys)} {what}: {_some(keys)}", len(keys)))
    other = [
        row.key
        for row in evidence.results
        if row.outcome == OK and row.text != evidence.expected.get(row.key)
    ]
    if other:
        text = f"{len(other)} answers are not those of an undisturbed run: {_some(other)}"
        faults.append(Fault(LOST, text, len(other)))
    return faults + _dropped(evidence)


def _dropped(evidence: Evidence) -> list[Fault]:
    """Find the answers that a job delivered and the results do not have."""
    delivered = {
        record_id
        for job, ids in evidence.paid.items()
        for record_id in set(ids) - set(evidence.undelivered.get(job, ()))
    }
    answered = {row.record_id for row in evidence.results if row.outcome == OK}
    dropped = sorted(delivered - answered)
    if not dropped:
        return []
    text = f"{len(dropped)} records were paid for and answered, and are not ok: {_some(dropped)}"
    return [Fault(LOST, text, len(dropped))]


def _paid_twice(evidence: Evidence) -> list[Fault]:
    faults = []
    by_jobs = Counter(record_id for ids in evidence.paid.values() for record_id in ids)
    by_two = [record_id for record_id, count in by_jobs.items() if count > 1]
    if by_two:
        text = f"{len(by_two)} records were paid for in more than one job: {_some(by_two)}"
        faults.append(Fault(PAID_TWICE, text, len(by_two)))
    by_calls = {r.record_id for r in evidence.results if r.served_by == FALLBACK}
    asked_again = sorted(by_calls & by_jobs.keys())
    if asked_again:
        text = f"{len(asked_again)} records were paid for in a job and in a call: "
        faults.append(Fault(PAID_TWICE, text + _some(asked_again), len(asked_again)))
    allowed = evidence.lost_replies + evidence.unwritten
    again = evidence.calls - len(by_calls)
    if evidence.paid_again is not None:
        again = max(0, evidence.paid_again - sum(by_jobs.values()) + len(by_jobs))
    if again > allowed:
        text = (
            f"{again} calls were paid for beyond one per record; {allowed} are explained by "
            f"{evidence.lost_replies} lost replies and by kills"
        )
        faults.append(Fault(PAID_TWICE, text, again - allowed))
    return faults


def _some(names: Sequence[object]) -> str:
    more = ", …" if len(names) > _EXAMPLES else ""
    return ", ".join(map(str, names[:_EXAMPLES])) + more
