"""The judge of `make chaos` finds every fault that is planted, and none in a run that is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.chaos.judge import LEDGER, LEFT_BEHIND, LOST, PAID_TWICE, Evidence, ResultRow, judge


def row(number: int, served_by: str = "batch", **changes: str | None) -> ResultRow:
    whole = ResultRow(f"k{number}", f"R{number}", "ok", served_by, f"answer {number}")
    return replace(whole, **changes)


RIGHT = Evidence(
    keys=[f"k{n}" for n in range(6)],
    results=[
        *(row(n) for n in range(3)),
        row(3, "fallback"),
        ResultRow("k4", "R4", "error", None, None),
        ResultRow("k5", None, "rejected", None, None),
    ],
    expected={f"k{n}": f"answer {n}" for n in range(5)},
    paid={"job-1": ["R0", "R1"], "job-2": ["R2"]},
    calls=1,
)


def kinds(evidence: Evidence) -> dict[str, int]:
    """Return the count of each kind of fault."""
    return {fault.kind: fault.count for fault in judge(evidence)}


def test_a_run_that_is_right_has_no_fault() -> None:
    assert judge(RIGHT) == []


@pytest.mark.parametrize(
    ("results", "count"),
    [
        (RIGHT.results[:-1], 1),
        (RIGHT.results[:-2], 2),
        ([*RIGHT.results, row(1)], 1),
        ([*RIGHT.results, ResultRow("k9", "R9", "missing", None, None)], 1),
        ([row(0, text="answer 7"), *RIGHT.results[1:]], 1),
        ([row(0, text=None), *RIGHT.results[1:]], 1),
        ([row(0, outcome="missing", served_by=None, text=None), *RIGHT.results[1:]], 1),
    ],
    ids=["no row", "no two rows", "twice", "unknown", "other answer", "no answer", "dropped"],
)
def test_a_row_or_answer_that_is_lost_is_reported(results: list[ResultRow], count: int) -> None:
    """Rows in are rows out, once each; what a job delivered is in the results, as it was."""
    assert kinds(replace(RIGHT, results=results)) == {LOST: count}


def test_a_line_that_the_service_left_out_is_not_lost() -> None:
    """A record that was paid for and never delivered need not be ok."""
    missing = row(2, outcome="missing", served_by=None, text=None)
    results = [*RIGHT.results[:2], missing, *RIGHT.results[3:]]
    undelivered = replace(RIGHT, results=results, undelivered={"job-2": ["R2"]})
    assert judge(undelivered) == []


def test_a_record_in_two_jobs_is_paid_twice() -> None:
    """No kill and no lost reply excuses it: both jobs had the same record."""
    paid = {**RIGHT.paid, "job-3": ["R1"]}
    assert kinds(replace(RIGHT, paid=paid, lost_replies=9, unwritten=9)) == {PAID_TWICE: 1}


def test_a_record_in_a_job_and_a_call_is_paid_twice() -> None:
    """The same if the job's line was not delivered: the service claims the answer."""
    paid = {**RIGHT.paid, "job-3": ["R3"]}
    evidence = replace(RIGHT, paid=paid, undelivered={"job-3": ["R3"]}, unwritten=9)
    assert kinds(evidence) == {PAID_TWICE: 1}


@pytest.mark.parametrize(
    ("calls", "lost_replies", "unwritten", "excess"),
    [(1, 0, 0, 0), (2, 0, 0, 1), (3, 1, 1, 0), (4, 1, 1, 1), (6, 0, 2, 3)],
)
def test_calls_beyond_the_bound_are_paid_twice(
    calls: int, lost_replies: int, unwritten: int, excess: int
) -> None:
    """A lost reply and what a killed process had in memory explain one call per record each."""
    evidence = replace(RIGHT, calls=calls, lost_replies=lost_replies, unwritten=unwritten)
    assert kinds(evidence) == ({PAID_TWICE: excess} if excess else {})


def test_the_services_own_count_goes_before_the_number_of_calls() -> None:
    """If the service counts payments beyond one per record, that count is judged."""
    assert judge(replace(RIGHT, calls=5, paid_again=0)) == []
    assert kinds(replace(RIGHT, calls=1, paid_again=3, unwritten=1)) == {PAID_TWICE: 2}


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ({"left_behind": ["tasks/1/2"]}, LEFT_BEHIND),
        ({"units": ["bs-run"]}, LEFT_BEHIND),
        ({"ledger": ["it does not know job-1"]}, LEDGER),
    ],
)
def test_what_is_left_behind_is_reported(planted: dict[str, list[str]], kind: str) -> None:
    assert kinds(replace(RIGHT, **planted)) == {kind: 1}
