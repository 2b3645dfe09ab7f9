"""Reconciling: every record ends in one way, whatever comes back and in whatever order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.lines import BadLine, OutputManifest, OutputRecord, RecordError
from bedrock_spark.outputs.reconcile import (
    BATCH,
    ERROR,
    FALLBACK,
    MISSING,
    OK,
    Finding,
    Origin,
    ShardReconciliation,
)

Line = OutputRecord | BadLine
SHARD = "shard-00001-00"
RETRYABLE, PERMANENT = RecordError(500, "x"), RecordError(400, "x")


def ok(record_id: str, answer: bytes = b"{}") -> OutputRecord:
    return OutputRecord(record_id, answer, None)


def failed(record_id: str, error: RecordError = PERMANENT) -> OutputRecord:
    return OutputRecord(record_id, None, error)


def batch(attempt: int = 1) -> Origin:
    return Origin(BATCH, attempt, f"arn:{attempt}", f"output/a{attempt}.jsonl.out")


def fallback(part: str = "p1") -> Origin:
    return Origin(FALLBACK, source=f"fallback/{part}.jsonl.out")


def reconciled(expected: str, *files: tuple[Origin, list[Line]]) -> ShardReconciliation:
    """Reconcile a shard whose record ids are the letters of `expected`."""
    found = ShardReconciliation(SHARD, dict.fromkeys(expected, 1))
    for origin, lines in files:
        found.take(origin, lines)
    found.finish()
    return found


@dataclass
class Case:
    expected: str
    files: list[tuple[Origin, list[Line]]]


LINES = st.one_of(
    st.builds(ok, st.sampled_from("abcdefxyz"), st.sampled_from([b"1", b"2", b"3"])),
    st.builds(failed, st.sampled_from("abcdefxyz"), st.sampled_from([RETRYABLE, PERMANENT])),
    st.builds(BadLine, st.integers(1, 99), st.integers(0, 999), st.just("has no recordId")),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    expected = "".join(sorted(draw(st.sets(st.sampled_from("abcdef")))))
    lists = draw(st.lists(st.lists(LINES, max_size=12), max_size=4))
    origins = [batch(1), batch(2), fallback("p1"), fallback("p2")]
    return Case(expected, list(zip(draw(st.permutations(origins)), lists, strict=False)))


@given(cases())
def test_every_record_ends_in_exactly_one_way(case: Case) -> None:
    """ok + error + missing is what went in, however often its lines come."""
    found = reconciled(case.expected, *case.files)
    counts = found.counts()
    assert sum(counts.values()) == len(case.expected)
    assert min(counts.values()) >= 0
    assert found.outcomes.keys() <= set(case.expected)
    assert sum(found.served_by().values()) == counts[OK]


@given(cases())
def test_a_success_beats_an_error_beats_nothing(case: Case) -> None:
    """The first success stands; without one, the last error does."""
    found = reconciled(case.expected, *case.files)
    lines = [
        (origin, line)
        for origin, listed in case.files
        for line in listed
        if isinstance(line, OutputRecord)
    ]
    for record_id in case.expected:
        own = [(origin, line) for origin, line in lines if line.record_id == record_id]
        successes = [(o, line) for o, line in own if line.error is None]
        outcome = found.outcomes.get(record_id)
        standing = (outcome.origin, outcome.record) if outcome else None
        assert standing == (successes[0] if successes else own[-1] if own else None)


@given(cases())
def test_findings_count_what_does_not_fit(case: Case) -> None:
    """Paid twice, foreign, repeated and bad lines: each with its number."""
    found = reconciled(case.expected, *case.files)
    told: Counter[str] = Counter()
    for finding in found.findings:
        told[finding.kind] += finding.count
    expected: Counter[str] = Counter()
    answered: dict[str, str] = {}
    for origin, lines in case.files:
        seen: set[str] = set()
        for line in lines:
            if isinstance(line, BadLine):
                expected["bad_line"] += 1
            elif line.record_id not in case.expected:
                expected["foreign_record"] += 1
            else:
                expected["repeated"] += line.record_id in seen
                seen.add(line.record_id)
                if line.error is None:
                    first = answered.setdefault(line.record_id, origin.source)
                    expected["paid_twice"] += first != origin.source
    assert told == +expected
    assert all(f.shard_id == SHARD and f.count > 0 for f in found.findings)


@given(cases())
def test_unanswered_records_are_those_that_may_still_be_answered(case: Case) -> None:
    """Missing, or a retryable error: in order, and never one that is answered or refused."""
    found = reconciled(case.expected, *case.files)
    expected = [
        i
        for i in sorted(case.expected)
        if i not in found.outcomes
        or (
            found.outcomes[i].record.error is not None
            and found.outcomes[i].record.error.code == 500
        )
    ]
    assert found.unanswered() == expected


@given(st.permutations("abcdefgh"))
def test_the_order_of_lines_in_a_file_is_no_matter(order: list[str]) -> None:
    """Bedrock does not keep it."""
    lines: list[Line] = [ok(i) if i < "e" else failed(i, RETRYABLE) for i in order]
    found = reconciled("abcdefghij", (batch(), lines))
    assert found.counts() == {OK: 4, ERROR: 4, MISSING: 2}
    assert found.findings == []
    assert found.unanswered() == list("efghij")


def test_the_fallback_mends_what_the_batch_left() -> None:
    """And the report knows by whom each was answered."""
    found = reconciled(
        "abc",
        (batch(), [ok("a"), failed("b", RETRYABLE)]),
        (fallback(), [ok("b"), failed("c", PERMANENT)]),
    )
    assert found.counts() == {OK: 2, ERROR: 1, MISSING: 0}
    assert found.served_by() == {BATCH: 1, FALLBACK: 1}
    assert found.findings == []
    assert found.outcomes["b"].origin == fallback()


def test_a_second_answer_from_another_file_was_paid_twice() -> None:
    """Which must not happen, so it is said; the first stands."""
    found = reconciled("a", (batch(1), [ok("a", b"1")]), (batch(2), [ok("a", b"2")]))
    assert found.outcomes["a"].record.output == b"1"
    assert found.findings == [
        Finding("paid_twice", SHARD, f"a in {batch(1).source} and {batch(2).source}", 1)
    ]


def test_an_error_after_an_answer_is_no_finding() -> None:
    """Nothing was paid for it."""
    found = reconciled("a", (batch(1), [ok("a")]), (batch(2), [failed("a")]))
    assert (found.counts()[OK], found.findings) == (1, [])


def test_findings_are_bounded_however_much_does_not_fit() -> None:
    """A report must stay readable: a few examples, and the rest as a number."""
    many = [f"{i:011d}" for i in range(5_000)]
    found = ShardReconciliation(SHARD, dict.fromkeys(many, 1))
    garbage: list[Line] = [BadLine(i, i, "has no recordId") for i in range(5_000)]
    strangers: list[Line] = [ok(f"x{i}") for i in range(5_000)]
    for attempt in (1, 2):
        found.take(batch(attempt), [*map(ok, many), *map(ok, many), *garbage, *strangers])
    found.finish()
    assert len(found.findings) <= 20
    assert sum(len(f.detail) for f in found.findings) < 4_000
    told = {(f.kind): 0 for f in found.findings}
    for finding in found.findings:
        told[finding.kind] += finding.count
    assert told == {
        "bad_line": 10_000,
        "paid_twice": 10_000,
        "foreign_record": 10_000,
        "repeated": 10_000,
    }


@pytest.mark.parametrize(
    ("manifest", "counted", "said"),
    [
        (None, {}, []),
        (OutputManifest(), {OK: None}, []),
        (OutputManifest(succeeded=2, failed=1), {OK: 2, ERROR: 1}, []),
        (OutputManifest(succeeded=3, failed=1), {OK: 2, ERROR: 1}, ["its output manifest says 3"]),
        (OutputManifest(succeeded=2), {OK: 2, ERROR: 0}, ["the job says 0"]),
        (
            OutputManifest(succeeded=0, failed=0),
            {OK: 0, ERROR: 0},
            ["job says 0", "job says 0", "manifest says 0", "manifest says 0"],
        ),
    ],
)
def test_counts_that_differ_are_findings(
    manifest: OutputManifest | None, counted: dict[str, int | None], said: list[str]
) -> None:
    """Between the lines, the output manifest and the job; a count that is absent claims nothing."""
    found = ShardReconciliation(SHARD, dict.fromkeys("abc", 1))
    lines = found.take(batch(), [ok("a"), ok("b"), failed("c")])
    found.compare("out.jsonl.out", lines, manifest, counted)
    details = [f.detail for f in found.findings]
    assert {f.kind for f in found.findings} <= {"count_mismatch"}
    assert len(details) == len(said)
    assert all(text in detail for text, detail in zip(said, details, strict=True))


def test_the_lines_of_a_file_are_counted_by_kind() -> None:
    """Foreign and repeated lines too: the count is compared with the job's own."""
    found = ShardReconciliation(SHARD, dict.fromkeys("ab", 1))
    lines = [ok("a"), ok("a"), ok("z"), failed("b"), BadLine(5, 9, "has no recordId")]
    counts = found.take(batch(), lines)
    assert counts == {"ok": 3, "error": 1, "bad": 1}
    found.take(fallback(), [ok("b")])
    assert found.lines == {"ok": 4, "error": 1, "bad": 1}


def test_a_finding_can_be_written_as_json() -> None:
    """It goes into the report as it is."""
    assert Finding("k", SHARD, "d", 2).as_json() == {
        "kind": "k",
        "shard_id": SHARD,
        "detail": "d",
        "count": 2,
    }
