"""Reconcile the records of a shard with all output lines that came back for it.

Every record is exactly one of ok, invalid, truncated, refused, error, missing or unfound; judge.py
says what an answer is. If a record has several lines, one of them counts, in this order: ok,
invalid, truncated, refused, an error that has an answer, an error that has none. Of several that
are ok the first counts, and a later answer is a finding; of several that were cut off, one that has
something in it and then the longest; of several of any other kind, the last. Nothing here raises an
error: everything that does not fit is a finding in the report.

A record without an answer may be asked again only if nothing says that it was answered; one with an
answer that is not ok, if ask_again.py allows it. The counts of a job may claim
more answers than were found, and do not say which records they belong to. So each record without a
line of that job may be one of them: it is not asked again. Its outcome is unfound if it has no line
at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.ask_again import NEVER, AskAgain, Tries
from bedrock_spark.outputs.claims import Claim, FoundLines, UnfoundAnswers, unfound_answers
from bedrock_spark.outputs.fallback_times import FallbackTimes
from bedrock_spark.outputs.findings import EXAMPLES, Finding, answer_findings
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.lines import AnsweredLines, BadLine, OutputRecord
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, UNFOUND
from bedrock_spark.outputs.output_manifest import OutputManifest
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, Origin, Outcome
from bedrock_spark.outputs.settled import OkAnswers, SettledAnswers
from bedrock_spark.outputs.spill import Spill

BAD = "bad"


def _forget_line(line: OutputRecord) -> None:
    pass


@dataclass
class ShardReconciliation:
    """Gathers the output lines of one shard, and says how each record ended.

    expected: every record, and the number of rows that share it; outcomes are counted in rows
    judge: tells whether an answer is what was asked for; None if any answer is
    again: how often a record with an answer that is not ok may be asked again
    ask_unfound: whether records that may have been answered are asked again, too
    with_files: the records of which a job wrote images as files, each with its output folder
    unfound_answers: the answers that are claimed and were not found, by job
    outcomes: of the records that have a line and are not settled
    settled: the answers that are ok and no longer kept, if `settle_into` was called
    spill: holds the answers that are not ok; None holds them in memory
    times: of the fallback's calls
    note_superseded: takes each answer of the fallback that does not count, though its tokens were
        paid for. There may be as many as records, so they are not kept
    """

    shard_id: str
    expected: Mapping[str, int]
    judge: Judge | None = None
    again: AskAgain = NEVER
    ask_unfound: bool = False
    with_files: Collection[tuple[str, str]] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    unfound_answers: list[UnfoundAnswers] = field(default_factory=list)
    spill: Spill | None = None
    times: FallbackTimes = field(default_factory=FallbackTimes)
    note_superseded: Callable[[OutputRecord], None] = _forget_line
    settled: SettledAnswers = field(init=False)
    _found: dict[str, FoundLines] = field(default_factory=dict)
    _paid_twice: list[str] = field(default_factory=list)
    _foreign: Counter[str] = field(default_factory=Counter)
    _repeated: Counter[str] = field(default_factory=Counter)
    _tries: Tries = field(init=False)

    def __post_init__(self) -> None:
        self._tries = Tries(self.again)
        self.settled = SettledAnswers(self.expected)

    def settle_into(self, take: Callable[[OkAnswers], None]) -> None:
        """Give each answer that is ok to `take` when its lines were added, and keep it no longer.

        Call it before the first line is added.
        """
        self.settled = SettledAnswers(self.expected, take)

    def add(
        self, origin: Origin, lines: Iterable[OutputRecord | BadLine | AnsweredLines]
    ) -> Counter[str]:
        """Add the lines of one output file; return the number of lines by kind."""
        counts: Counter[str] = Counter()
        # The records with a line, and those of them whose lines are all errors.
        ids_in_file: set[str] = set()
        unanswered: set[str] = set()
        folder = _folder_of(origin.source)
        found = self._found.setdefault(folder, FoundLines())
        expected = self.expected
        oks = 0
        for line in self._merge_pieces(lines, origin, ids_in_file):
            if isinstance(line, AnsweredLines):
                oks += len(line.ids)
                ids_in_file.update(line.ids)
                continue
            if isinstance(line, BadLine):
                counts[BAD] += 1
                if counts[BAD] > EXAMPLES:
                    continue
                self.add_finding(
                    "bad_line",
                    f"{origin.source} line {line.line}, byte {line.offset}: {line.reason}",
                )
                continue
            record_id = line.record_id
            if line.error is None:
                oks += 1
            else:
                counts[ERROR] += 1
            if record_id not in expected:
                self._foreign[origin.source] += 1
                continue
            if record_id in ids_in_file:
                self._repeated[origin.source] += 1
            elif line.error is not None:
                unanswered.add(record_id)
            ids_in_file.add(record_id)
            if line.error is None:
                unanswered.discard(record_id)
            self._merge(line, origin, folder)
        self.settled.flush()
        if oks:
            counts[OK] = oks
        if counts[BAD] > EXAMPLES:
            rest = counts[BAD] - EXAMPLES
            self.add_finding("bad_line", f"{origin.source}: {rest} more such lines", rest)
        self.lines.update(counts)
        found.ids |= ids_in_file
        found.answered |= ids_in_file - unanswered if unanswered else ids_in_file
        found.lines += counts.total()
        found.unreadable += counts[BAD]
        return counts

    def _merge_pieces(
        self,
        lines: Iterable[OutputRecord | BadLine | AnsweredLines],
        origin: Origin,
        ids_in_file: set[str],
    ) -> Iterator[OutputRecord | BadLine | AnsweredLines]:
        """Yield the lines: those together that are merged, and the others one by one."""
        # A record that is settled by this file has a line in it.
        settled = self.settled.origins.keys() if self.settled.origins else None
        for line in lines:
            if isinstance(line, AnsweredLines) and not self._merge_many(
                line, origin, ids_in_file, settled
            ):
                yield from line.records()
            else:
                yield line

    def _merge_many(
        self,
        lines: AnsweredLines,
        origin: Origin,
        ids_in_file: set[str],
        settled_before: KeysView[str] | None,
    ) -> bool:
        """Merge lines at once and say so, if each is the first answer of a record that is asked.

        settled_before: the records that other files have settled, and may be those of this one;
            None if there are none of other files
        """
        settled, ids = self.settled, set(lines.ids)
        if self.judge is None or self.with_files or not settled.is_on:
            return False
        is_usual = ids <= self.expected.keys() and ids.isdisjoint(ids_in_file)
        if not is_usual or (settled_before is not None and not settled_before.isdisjoint(ids)):
            return False
        answers, judgements = self.judge.read_many(lines.outputs)
        if all(judgement.ended == OK for judgement in judgements):
            own = lines.ids, lines.outputs, answers, judgements, lines.notes
            ok = OkAnswers(origin, *own)
        else:
            ok = OkAnswers(origin, [], [], [], [])
            for line, answer, judgement in zip(lines.records(), answers, judgements, strict=True):
                if judgement.ended == OK:
                    ok.append(line, answer, judgement)
                else:
                    self._merge_judged(Outcome(line, origin, judgement), answer)
        for record_id in self.outcomes.keys() & ok.ids:
            self._forget(record_id)
        settled.add_many(ok)
        return True

    def _merge(self, line: OutputRecord, origin: Origin, folder: str) -> None:
        current = self.outcomes.get(line.record_id)
        first_ok = self.settled.origins.get(line.record_id)
        if current is not None and current.is_ok:
            first_ok = current.origin
        if first_ok is not None:
            if line.error is None and first_ok.source != origin.source:
                self._supersede(line, origin)
                self._paid_twice.append(
                    f"{line.record_id} in {first_ok.source} and {origin.source}"
                )
            return
        answer = judgement = None
        if self.judge is not None and line.output is not None:
            has_files = bool(self.with_files) and (folder, line.record_id) in self.with_files
            answer, judgement = self.judge.read(line.output, has_files=has_files)
        self._merge_judged(Outcome(line, origin, judgement), answer)

    def _merge_judged(self, outcome: Outcome, answer: Answer | None) -> None:
        """Settle a record, or keep the outcome if it ranks as high as the current one.

        answer: what was read from the line; None if it was not judged
        """
        record_id, judgement = outcome.record.record_id, outcome.judgement
        current = self.outcomes.get(record_id)
        if outcome.ended != OK:
            self._note_try(record_id, outcome)
        elif self.settled.is_on and answer is not None and judgement is not None:
            self._forget(record_id)
            self.settled.add(outcome.record, outcome.origin, answer, judgement)
            return
        if current is None or outcome.rank >= current.rank:
            self._supersede_outcome(current)
            kept = outcome if self.spill is None else outcome.spilled_by(self.spill)
            self.outcomes[record_id] = kept
        else:
            self._supersede(outcome.record, outcome.origin)

    def _forget(self, record_id: str) -> None:
        """Drop the outcome of a record that is ok now; the fallback's answer was paid for."""
        self._supersede_outcome(self.outcomes.pop(record_id, None))

    def unsettled(self) -> list[str]:
        """Return the records that are not settled."""
        settled = self.settled.origins
        if len(settled) == len(self.expected):
            return []
        if not settled:
            return list(self.expected)
        return [record_id for record_id in self.expected if record_id not in settled]

    def _note_try(self, record_id: str, outcome: Outcome) -> None:
        error, judgement = outcome.error, outcome.judgement
        if error is None and judgement is not None:
            self._tries.note_answer(record_id, outcome.ended, is_final=judgement.is_final)
        elif error is not None and not error.is_retryable:
            self._tries.note_error(record_id)

    def _supersede_outcome(self, current: Outcome | None) -> None:
        if current is not None and current.origin.served_by == FALLBACK:
            self._supersede(current.line(self.spill), current.origin)

    def _supersede(self, line: OutputRecord, origin: Origin) -> None:
        if origin.served_by == FALLBACK and line.output is not None:
            self.note_superseded(line)

    def compare(
        self,
        source: str,
        lines: Counter[str],
        manifest: OutputManifest | None,
        counted: Mapping[str, int | None],
        job_arn: str | None = None,
    ) -> None:
        """Compare the number of a job's lines with other counts; a difference is a finding.

        All lines of the job must have been added.

        source: the output folder, or the job if it has none
        lines: the number of its lines by kind
        counted: the job's own counts of ok and error
        """
        claims = {"the job": counted, "its output manifest": _claims(manifest)}
        for claimant, claim in claims.items():
            for kind in (OK, ERROR):
                count = claim.get(kind)
                if count is not None and count != lines[kind]:
                    self.add_finding(
                        "count_mismatch",
                        f"{source}: {lines[kind]} lines are {kind}, {claimant} says {count}",
                    )
        counts = [(claim.get(OK), claim.get(ERROR)) for claim in claims.values()]
        self._note_unfound(job_arn or source, counts, self._found.pop(source, FoundLines()))

    def compare_others(self) -> None:
        """Look for answers that cannot be read in the output that `compare` was not called for."""
        for folder, found in sorted(self._found.items()):
            self._note_unfound(folder, [], found)
        self._found.clear()

    def _note_unfound(self, claimant: str, claims: Sequence[Claim], found: FoundLines) -> None:
        unfound = unfound_answers(claimant, claims, found)
        if unfound is not None:
            self.unfound_answers.append(unfound)

    def finish(self) -> None:
        """Turn the counts into findings. No line may be added after this."""
        self.settled.close()
        self.note_superseded = _forget_line  # what takes them may hold this object in a cycle
        if self._paid_twice:
            self.add_finding(
                "paid_twice", "; ".join(self._paid_twice[:EXAMPLES]), len(self._paid_twice)
            )
        self.findings += answer_findings(
            self.shard_id, self.outcomes.values(), self.settled.several_fit
        )
        for kind, counted in (("foreign_record", self._foreign), ("repeated", self._repeated)):
            for source, count in sorted(counted.items()):
                self.add_finding(kind, f"{source}: {count} lines", count)
        if any(self._is_claimed(i) and self._may_be_answered(i) for i in self.unsettled()):
            for unfound in self.unfound_answers:
                self.add_finding(UNFOUND, str(unfound), unfound.count)

    def stop_reasons(self) -> dict[str, int]:
        """Return the number of rows by the stop reason of their answer."""
        counts: Counter[str] = Counter()
        for (_, stop_reason), rows in self.settled.rows.items():
            if stop_reason is not None:
                counts[stop_reason] += rows
        for record_id, outcome in self.outcomes.items():
            word = outcome.judgement.stop_reason if outcome.judgement is not None else None
            if word is not None:
                counts[word] += self.expected[record_id]
        return dict(counts)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by outcome. Every row is counted exactly once.

        The outcomes are ok, error and missing, invalid if answers are parsed, and others if there
        are such rows.
        """
        counts = {OK: self.settled.rows.total(), ERROR: 0, MISSING: 0}
        if self.judge is not None and self.judge.parses:
            counts[INVALID] = 0
        for record_id in self.unsettled():
            ended = self.ended(record_id)
            counts[ended] = counts.get(ended, 0) + self.expected[record_id]
        return counts

    def ended(self, record_id: str) -> str:
        """Return the outcome of a record."""
        if record_id in self.settled.origins:
            return OK
        outcome = self.outcomes.get(record_id)
        if outcome is not None:
            return outcome.ended
        return UNFOUND if self.unfound_answers else MISSING

    def served_by(self) -> dict[str, int]:
        """Return the number of ok rows by the side that answered: batch, fallback, or kept."""
        answered: Counter[str] = Counter()
        for (served_by, _), rows in self.settled.rows.items():
            answered[served_by] += rows
        for record_id, outcome in self.outcomes.items():
            if outcome.is_ok:
                answered[outcome.origin.served_by] += self.expected[record_id]
        return {BATCH: 0, FALLBACK: 0, **answered}

    def unanswered(self) -> list[str]:
        """Return the sorted ids of the records without an answer that are to be asked again."""
        unanswered = filter(self._may_be_answered, self.unsettled())
        return sorted(i for i in unanswered if self.ask_unfound or not self._is_claimed(i))

    def unfound(self) -> list[str]:
        """Return the ids of the records that are not asked again because a job claims answers.

        With `ask_unfound` there are none.
        """
        if self.ask_unfound:
            return []
        return [i for i in self.unsettled() if self._is_claimed(i) and self._may_be_answered(i)]

    def _is_claimed(self, record_id: str) -> bool:
        return any(record_id not in unfound.ids for unfound in self.unfound_answers)

    def answered_among(self, record_ids: Iterable[str]) -> list[str]:
        """Return those of `record_ids` that have an answer already, which is not ok."""
        outcomes = ((i, self.outcomes.get(i)) for i in record_ids)
        return [i for i, outcome in outcomes if outcome is not None and outcome.error is None]

    def limits(self, record_ids: Iterable[str]) -> dict[str, int]:
        """Return the limit of tokens of the next try, for records that do not keep their own."""
        return self._tries.limits(record_ids)

    def _may_be_answered(self, record_id: str) -> bool:
        outcome = self.outcomes.get(record_id)
        if outcome is None:
            return True
        if outcome.error is not None:
            return outcome.error.is_retryable
        return not outcome.is_ok and self._tries.allow(record_id)

    def add_finding(self, kind: str, detail: str, count: int = 1) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, self.shard_id, detail, count))


def _folder_of(source: str) -> str:
    return source.rpartition("/")[0]


def _claims(manifest: OutputManifest | None) -> dict[str, int | None]:
    if manifest is None:
        return {}
    return {OK: manifest.succeeded, ERROR: manifest.failed}
