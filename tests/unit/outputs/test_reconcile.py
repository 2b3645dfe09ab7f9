"""Reconciliation: every record has exactly one outcome, for any lines in any order."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families import family_by_name
from bedrock_spark.families.ceilings import Ceiling
from bedrock_spark.outputs.ask_again import AskAgain
from bedrock_spark.outputs.findings import Finding
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.lines import BadLine, OutputRecord
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, REFUSED, TRUNCATED
from bedrock_spark.outputs.output_manifest import OutputManifest
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.record_errors import RecordError
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, Origin
from bedrock_spark.schema import parse_ddl

Line = OutputRecord | BadLine
SHARD = "shard-00001-00"
RETRYABLE, PERMANENT = RecordError(500, "x"), RecordError(400, "x")
MAYBE = RecordError(400, "x", may_be_the_accounts=True)


def ok(record_id: str, answer: bytes = b"{}") -> OutputRecord:
    return OutputRecord(record_id, answer, None)


def failed(record_id: str, error: RecordError = PERMANENT) -> OutputRecord:
    return OutputRecord(record_id, None, error)


def batch(attempt: int = 1) -> Origin:
    return Origin(BATCH, attempt, f"arn:{attempt}", f"output/a{attempt}.jsonl.out")


def fallback(file: str = "p1") -> Origin:
    return Origin(FALLBACK, source=f"fallback/{file}.jsonl.out")


def reconcile(expected: str, *files: tuple[Origin, list[Line]]) -> ShardReconciliation:
    """Reconcile a shard whose record ids are the letters of `expected`."""
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys(expected, 1))
    for origin, lines in files:
        reconciliation.add(origin, lines)
    reconciliation.finish()
    return reconciliation


@dataclass
class Case:
    """A shard whose record ids are the letters of `expected`, and its output files in order."""

    expected: str
    files: list[tuple[Origin, list[Line]]]


LINES = st.one_of(
    st.builds(ok, st.sampled_from("abcdefxyz"), st.sampled_from([b"1", b"2", b"3"])),
    st.builds(failed, st.sampled_from("abcdefxyz"), st.sampled_from([RETRYABLE, PERMANENT])),
    st.builds(BadLine, st.integers(1, 99), st.integers(0, 999), st.just("has no recordId")),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw up to six records, and up to four files of two jobs and the fallback."""
    expected = "".join(sorted(draw(st.sets(st.sampled_from("abcdef")))))
    lists = draw(st.lists(st.lists(LINES, max_size=12), max_size=4))
    origins = [batch(1), batch(2), fallback("p1"), fallback("p2")]
    return Case(expected, list(zip(draw(st.permutations(origins)), lists, strict=False)))


@given(cases())
def test_every_record_has_exactly_one_outcome(case: Case) -> None:
    """ok + error + missing is the number of records, for any number of lines per record."""
    reconciliation = reconcile(case.expected, *case.files)
    counts = reconciliation.counts()
    assert sum(counts.values()) == len(case.expected)
    assert min(counts.values()) >= 0
    assert reconciliation.outcomes.keys() <= set(case.expected)
    assert sum(reconciliation.served_by().values()) == counts[OK]


@given(cases())
def test_the_first_success_counts_or_else_the_last_error(case: Case) -> None:
    """A record without a line is missing: it is not among `outcomes`."""
    reconciliation = reconcile(case.expected, *case.files)
    lines = [
        (origin, line)
        for origin, file_lines in case.files
        for line in file_lines
        if isinstance(line, OutputRecord)
    ]
    for record_id in case.expected:
        own = [(origin, line) for origin, line in lines if line.record_id == record_id]
        successes = [(o, line) for o, line in own if line.error is None]
        outcome = reconciliation.outcomes.get(record_id)
        actual = (outcome.origin, outcome.record) if outcome else None
        assert actual == (successes[0] if successes else own[-1] if own else None)


@given(cases())
def test_findings_count_the_lines_that_do_not_fit(case: Case) -> None:
    """By kind: paid twice, foreign, repeated and bad lines."""
    reconciliation = reconcile(case.expected, *case.files)
    counts: Counter[str] = Counter()
    for finding in reconciliation.findings:
        counts[finding.kind] += finding.count
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
    assert counts == +expected
    assert all(f.shard_id == SHARD and f.count > 0 for f in reconciliation.findings)


@given(cases())
def test_unanswered_records_are_those_that_may_still_be_answered(case: Case) -> None:
    """They are missing or have a retryable error; their ids are sorted."""
    reconciliation = reconcile(case.expected, *case.files)
    expected = [
        i
        for i in sorted(case.expected)
        if i not in reconciliation.outcomes
        or (
            reconciliation.outcomes[i].record.error is not None
            and reconciliation.outcomes[i].record.error.code == 500
        )
    ]
    assert reconciliation.unanswered() == expected


@given(st.permutations("abcdefgh"))
def test_the_order_of_lines_in_a_file_does_not_matter(order: list[str]) -> None:
    """Bedrock does not keep the order of the input."""
    lines: list[Line] = [ok(i) if i < "e" else failed(i, RETRYABLE) for i in order]
    reconciliation = reconcile("abcdefghij", (batch(), lines))
    assert reconciliation.counts() == {OK: 4, ERROR: 4, MISSING: 2}
    assert reconciliation.findings == []
    assert reconciliation.unanswered() == list("efghij")


def test_the_fallback_answers_records_that_the_batch_did_not() -> None:
    """The rows answered by batch and by the fallback are counted separately."""
    reconciliation = reconcile(
        "abc",
        (batch(), [ok("a"), failed("b", RETRYABLE)]),
        (fallback(), [ok("b"), failed("c", PERMANENT)]),
    )
    assert reconciliation.counts() == {OK: 2, ERROR: 1, MISSING: 0}
    assert reconciliation.served_by() == {BATCH: 1, FALLBACK: 1}
    assert reconciliation.findings == []
    assert reconciliation.outcomes["b"].origin == fallback()


def test_a_second_answer_from_another_file_was_paid_twice() -> None:
    """That must not happen, so it is a finding. The first answer counts."""
    reconciliation = reconcile("a", (batch(1), [ok("a", b"1")]), (batch(2), [ok("a", b"2")]))
    assert reconciliation.outcomes["a"].record.output == b"1"
    assert reconciliation.findings == [
        Finding("paid_twice", SHARD, f"a in {batch(1).source} and {batch(2).source}", 1)
    ]


def test_an_error_after_an_answer_is_no_finding() -> None:
    """Nothing was paid for the error."""
    reconciliation = reconcile("a", (batch(1), [ok("a")]), (batch(2), [failed("a")]))
    assert (reconciliation.counts()[OK], reconciliation.findings) == (1, [])


def test_the_number_of_findings_is_bounded() -> None:
    """A finding shows a few examples and counts the rest, so that the report stays readable."""
    ids = [f"{i:011d}" for i in range(5_000)]
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys(ids, 1))
    bad_lines: list[Line] = [BadLine(i, i, "has no recordId") for i in range(5_000)]
    foreign: list[Line] = [ok(f"x{i}") for i in range(5_000)]
    for attempt in (1, 2):
        reconciliation.add(batch(attempt), [*map(ok, ids), *map(ok, ids), *bad_lines, *foreign])
    reconciliation.finish()
    assert len(reconciliation.findings) <= 20
    assert sum(len(f.detail) for f in reconciliation.findings) < 4_000
    counts = dict.fromkeys((f.kind for f in reconciliation.findings), 0)
    for finding in reconciliation.findings:
        counts[finding.kind] += finding.count
    assert counts == {
        "bad_line": 10_000,
        "paid_twice": 10_000,
        "foreign_record": 10_000,
        "repeated": 10_000,
    }


@pytest.mark.parametrize(
    ("manifest", "job_counts", "expected"),
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
    manifest: OutputManifest | None, job_counts: dict[str, int | None], expected: list[str]
) -> None:
    """The lines, the output manifest and the job are compared, but not a count that is absent."""
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys("abc", 1))
    lines = reconciliation.add(batch(), [ok("a"), ok("b"), failed("c")])
    reconciliation.compare("out.jsonl.out", lines, manifest, job_counts)
    details = [f.detail for f in reconciliation.findings]
    assert {f.kind for f in reconciliation.findings} <= {"count_mismatch"}
    assert len(details) == len(expected)
    assert all(text in detail for text, detail in zip(expected, details, strict=True))


def claude(text: str, stop_reason: str = "end_turn") -> bytes:
    """Return an answer of Claude; with the text "" it has no content."""
    content = [{"type": "text", "text": text}] if text else []
    return json.dumps({"content": content, "stop_reason": stop_reason}).encode()


JUDGE = Judge(family_by_name("anthropic"), parse_ddl("label string NOT NULL"))
GOOD, BAD = claude('{"label": "x"}'), claude("no JSON")
DECLINED, UNREADABLE = claude("", "refusal"), b'{"choices": []}'
CUT, LONGER = claude("a", "max_tokens"), claude("a b", "max_tokens")
EMPTY, NO_ROOM = claude("", "max_tokens"), claude("a", "model_context_window_exceeded")
# Every kind of answer that is not ok is asked again once.
ONCE = AskAgain(invalid=1, refused=1, ceiling=Ceiling(("max_tokens",), 10), most=20)
OVERLOADED = b'{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}'


@pytest.mark.parametrize(
    ("files", "ended", "unanswered"),
    [
        ([[ok("a", GOOD)]], OK, False),
        ([[ok("a", BAD)]], INVALID, True),
        ([[ok("a", BAD)], [ok("a", GOOD)]], OK, False),
        ([[ok("a", GOOD)], [ok("a", BAD)]], OK, False),
        ([[failed("a")], [ok("a", BAD)]], INVALID, True),
        ([[ok("a", BAD)], [failed("a")]], INVALID, False),
        ([[ok("a", BAD)], [failed("a", RETRYABLE)]], INVALID, True),
        ([[ok("a", BAD)], [ok("a", BAD)]], INVALID, False),
        ([[failed("a", RETRYABLE)]], ERROR, True),
        ([[ok("a", CUT)]], TRUNCATED, True),
        ([[ok("a", EMPTY)]], TRUNCATED, True),
        ([[ok("a", CUT)], [ok("a", CUT)]], TRUNCATED, False),
        ([[ok("a", NO_ROOM)]], TRUNCATED, False),
        ([[ok("a", CUT)], [ok("a", NO_ROOM)]], TRUNCATED, False),
        ([[ok("a", CUT)], [failed("a")]], TRUNCATED, False),
        ([[ok("a", CUT)], [failed("a", RETRYABLE)]], TRUNCATED, True),
        ([[failed("a")], [ok("a", CUT)]], TRUNCATED, True),
        ([[ok("a", CUT)], [ok("a", GOOD)]], OK, False),
        ([[ok("a", GOOD)], [ok("a", CUT)]], OK, False),
        ([[ok("a", CUT)], [ok("a", BAD)]], INVALID, True),
        ([[ok("a", CUT)], [ok("a", BAD)], [ok("a", CUT)]], INVALID, False),
        ([[ok("a", CUT)], [ok("a", DECLINED)]], TRUNCATED, True),
        ([[ok("a", DECLINED)]], REFUSED, True),
        ([[ok("a", claude("I will not.", "refusal"))]], REFUSED, True),
        ([[ok("a", DECLINED)], [ok("a", DECLINED)]], REFUSED, False),
        ([[ok("a", DECLINED)], [ok("a", UNREADABLE)]], REFUSED, False),
        ([[ok("a", BAD)], [ok("a", DECLINED)]], INVALID, True),
        ([[ok("a", UNREADABLE)]], ERROR, False),
        ([[ok("a", UNREADABLE)], [failed("a", RETRYABLE)]], ERROR, False),
        ([[failed("a", RETRYABLE)], [ok("a", UNREADABLE)]], ERROR, False),
        ([[ok("a", UNREADABLE)], [ok("a", GOOD)]], OK, False),
        ([[ok("a", BAD)], [ok("a", UNREADABLE)]], INVALID, False),
        ([[ok("a", OVERLOADED)]], ERROR, True),
        ([[failed("a", MAYBE)]], ERROR, True),
        ([[failed("a", MAYBE)], [failed("a")]], ERROR, False),
        ([[failed("a")], [failed("a", MAYBE)]], ERROR, False),
        ([[failed("a", MAYBE)], [ok("a", GOOD)]], OK, False),
    ],
)
def test_what_is_asked_again_depends_on_the_answer(
    files: list[list[Line]], ended: str, unanswered: bool
) -> None:
    """The better answer counts, and each kind that is not ok is asked again once here.

    What would not help is final: an unreadable answer, an error that stays, no room for more.
    """
    reconciliation = ShardReconciliation(SHARD, {"a": 3}, JUDGE, ONCE)
    for attempt, lines in enumerate(files, 1):
        reconciliation.add(batch(attempt), lines)
    assert {k: n for k, n in reconciliation.counts().items() if n} == {ended: 3}
    assert reconciliation.unanswered() == (["a"] if unanswered else [])
    has_answer = ended != ERROR and unanswered
    assert reconciliation.answered_among(reconciliation.unanswered()) == ["a"] * has_answer


KINDS = {OK: GOOD, INVALID: BAD, TRUNCATED: CUT, REFUSED: DECLINED}


@given(st.lists(st.sampled_from([*KINDS.values(), LONGER, EMPTY, NO_ROOM, None]), min_size=1))
def test_the_best_answer_counts_in_any_order(answers: list[bytes | None]) -> None:
    """Of those that were cut off, the longest; an empty one last. None is a line with an error."""
    reconciliation = ShardReconciliation(SHARD, {"a": 1}, JUDGE)
    for attempt, answer in enumerate(answers, 1):
        line = failed("a") if answer is None else ok("a", answer)
        reconciliation.add(batch(attempt), [line])
    (outcome,) = reconciliation.outcomes.values()
    best = (GOOD, BAD, NO_ROOM, LONGER, CUT, EMPTY, DECLINED)
    expected = next((answer for answer in best if answer in answers), None)
    assert outcome.record.output == expected


@given(
    st.lists(st.sampled_from([BAD, CUT, EMPTY, DECLINED, NO_ROOM, None]), min_size=1, max_size=9),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(10, 90),
)
def test_no_record_is_asked_more_often_than_the_rules_say(
    answers: list[bytes | None], invalid: int, refused: int, most: int
) -> None:
    """Each answer allows at most one more try: in all, one and the number of the rules."""
    rules = AskAgain(invalid, refused, Ceiling(("max_tokens",), 10), most)
    reconciliation = ShardReconciliation(SHARD, {"a": 1}, JUDGE, rules)
    paid, limits = 0, [10]
    for attempt, answer in enumerate(answers, 1):
        if not reconciliation.unanswered():
            break
        limits.append(reconciliation.limits(["a"]).get("a", 10))
        line = failed("a", RETRYABLE) if answer is None else ok("a", answer)
        reconciliation.add(batch(attempt), [line])
        paid += answer is not None
    assert paid <= 1 + rules.total
    assert limits == sorted(limits)
    assert max(limits) <= max(10, most)


def test_answers_without_an_answer_are_findings_with_their_shape() -> None:
    """One finding per shard and kind, which shows no value; and the rows by stop reason."""
    several = claude('[{"label": "SECRET"}, {"label": "x"}]')
    answers = [GOOD, BAD, EMPTY, UNREADABLE, UNREADABLE, b'"SECRET"', several, OVERLOADED]
    ids = "abcdefgh"
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys(ids, 2), JUDGE)
    reconciliation.add(batch(), [ok(i, answer) for i, answer in zip(ids, answers, strict=True)])
    reconciliation.finish()
    found = {f.kind: (f.count, f.detail) for f in reconciliation.findings}
    assert found == {
        "unreadable": (3, 'answers of these shapes: 2 x {"choices": []}; 1 x string'),
        "empty": (1, 'answers of these shapes: 1 x {"content": [], "stop_reason": string}'),
        "several_fit": (1, "in 1 answers, the last object counts"),
    }
    assert reconciliation.stop_reasons() == {"end_turn": 6, "max_tokens": 2}


def test_the_lines_of_a_file_are_counted_by_kind() -> None:
    """Foreign and repeated lines count too, because the job counts them as well."""
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys("ab", 1))
    lines = [ok("a"), ok("a"), ok("z"), failed("b"), BadLine(5, 9, "has no recordId")]
    counts = reconciliation.add(batch(), lines)
    assert counts == {"ok": 3, "error": 1, "bad": 1}
    reconciliation.add(fallback(), [ok("b")])
    assert reconciliation.lines == {"ok": 4, "error": 1, "bad": 1}


def test_a_finding_can_be_written_as_json() -> None:
    """report.json shows a finding with these four keys."""
    assert Finding("k", SHARD, "d", 2).as_json() == {
        "kind": "k",
        "shard_id": SHARD,
        "detail": "d",
        "count": 2,
    }
    assert Finding("k", SHARD, "d").count == 1, "of one thing, unless it says otherwise"


@pytest.mark.parametrize(
    ("origins", "outputs", "counts", "superseded"),
    [
        ((fallback("p1"), fallback("p2")), (GOOD, GOOD + b" "), GOOD, [GOOD + b" "]),
        ((batch(1), batch(2)), (GOOD, GOOD + b" "), GOOD, []),
        ((fallback("p1"), fallback("p2")), (BAD, GOOD), GOOD, [BAD]),
        ((fallback("p1"), fallback("p2")), (BAD, UNREADABLE), BAD, [UNREADABLE]),
        ((batch(1), fallback("p1")), (BAD, GOOD), GOOD, []),
    ],
)
def test_answers_of_the_fallback_that_do_not_count_are_told_for_their_tokens(
    origins: tuple[Origin, Origin],
    outputs: tuple[bytes, bytes],
    counts: bytes,
    superseded: list[bytes],
) -> None:
    """A second answer, or one that did not fit: both were paid for. Those of jobs are not told."""
    told: list[OutputRecord] = []
    reconciliation = ShardReconciliation(SHARD, {"a": 1}, JUDGE, ONCE, note_superseded=told.append)
    for origin, output in zip(origins, outputs, strict=True):
        reconciliation.add(origin, [ok("a", output)])
    assert reconciliation.outcomes["a"].record.output == counts
    assert [each.output for each in told] == superseded
