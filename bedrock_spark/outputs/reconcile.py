"""Reconcile: what went into a shard against everything that came back for it.

Per shard, every record is ok, error or missing, and one of them only; where answers are read as
columns, one that does not fit is invalid. A success beats an invalid answer beats an error beats
nothing; the first success stands and a second one is a finding. Nothing here fails: what does
not fit is a finding in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from bedrock_spark.outputs.lines import BadLine, OutputManifest, OutputRecord
from bedrock_spark.outputs.parse import Parsed

BATCH, FALLBACK = "batch", "fallback"
OK, ERROR, MISSING, REJECTED = "ok", "error", "missing", "rejected"
INVALID = "invalid"
BAD = "bad"
EXAMPLES = 5

Judge = Callable[[bytes], Parsed]


@dataclass(frozen=True)
class Origin:
    """Which job, or which fallback object, a line is from."""

    served_by: str
    attempt: int | None = None
    job_arn: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit, in words that hold no prompt and no answer."""

    kind: str
    shard_id: str
    detail: str
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return it as the report shows it."""
        return asdict(self)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What stands for one record. `ended` is ok, invalid or error."""

    record: OutputRecord
    origin: Origin
    ended: str
    parsed: Parsed | None = None

    @property
    def is_ok(self) -> bool:
        """Tell whether the record was answered, with an answer that fits."""
        return self.ended == OK


@dataclass
class ShardReconciliation:
    """Gather the lines of one shard; then say how each record ended.

    expected: every record, and how many rows ask it; what is counted in the end are rows
    judge: reads an answer as columns; None where any answer will do
    retries: how often a record may be asked again whose answer does not fit
    superseded: answers of the fallback that do not stand, and cost tokens all the same
    """

    shard_id: str
    expected: Mapping[str, int]
    judge: Judge | None = None
    retries: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    superseded: list[bytes] = field(default_factory=list)
    _paid_twice: list[str] = field(default_factory=list)
    _foreign: Counter[str] = field(default_factory=Counter)
    _repeated: Counter[str] = field(default_factory=Counter)
    _invalid: Counter[str] = field(default_factory=Counter)

    def take(self, origin: Origin, lines: Iterable[OutputRecord | BadLine]) -> Counter[str]:
        """Take the lines of one output file; return how many there are by kind."""
        counts: Counter[str] = Counter()
        within: set[str] = set()
        for line in lines:
            if isinstance(line, BadLine):
                counts[BAD] += 1
                if counts[BAD] > EXAMPLES:
                    continue
                self.find(
                    "bad_line",
                    f"{origin.source} line {line.line}, byte {line.offset}: {line.reason}",
                )
                continue
            counts[ERROR if line.error else OK] += 1
            if line.record_id not in self.expected:
                self._foreign[origin.source] += 1
                continue
            if line.record_id in within:
                self._repeated[origin.source] += 1
            within.add(line.record_id)
            self._merge(line, origin)
        if counts[BAD] > EXAMPLES:
            rest = counts[BAD] - EXAMPLES
            self.find("bad_line", f"{origin.source}: {rest} more such lines", rest)
        self.lines.update(counts)
        return counts

    def _merge(self, line: OutputRecord, origin: Origin) -> None:
        standing = self.outcomes.get(line.record_id)
        if standing is not None and standing.is_ok:
            if line.error is None and standing.origin.source != origin.source:
                self._supersede(line, origin)
                self._paid_twice.append(
                    f"{line.record_id} in {standing.origin.source} and {origin.source}"
                )
            return
        parsed = self.judge(line.output) if self.judge and line.output is not None else None
        outcome = Outcome(line, origin, _ended(line, parsed), parsed)
        if outcome.ended == INVALID:
            self._invalid[line.record_id] += 1
        if standing is None or not (standing.ended == INVALID and outcome.ended == ERROR):
            if standing is not None:
                self._supersede(standing.record, standing.origin)
            self.outcomes[line.record_id] = outcome

    def _supersede(self, line: OutputRecord, origin: Origin) -> None:
        if origin.served_by == FALLBACK and line.output is not None:
            self.superseded.append(line.output)

    def compare(
        self,
        source: str,
        lines: Counter[str],
        manifest: OutputManifest | None,
        counted: Mapping[str, int | None],
    ) -> None:
        """Compare a job's lines with its output manifest and with the job's own counts."""
        claims = {"the job": counted, "its output manifest": _claims(manifest)}
        found = {OK: lines[OK], ERROR: lines[ERROR]}
        for who, claim in claims.items():
            for kind in (OK, ERROR):
                said = claim.get(kind)
                if said is not None and said != found[kind]:
                    self.find(
                        "count_mismatch",
                        f"{source}: {found[kind]} lines are {kind}, {who} says {said}",
                    )

    def finish(self) -> None:
        """Turn what was counted into findings."""
        if self._paid_twice:
            self.find("paid_twice", "; ".join(self._paid_twice[:EXAMPLES]), len(self._paid_twice))
        for kind, counted in (("foreign_record", self._foreign), ("repeated", self._repeated)):
            for source, count in sorted(counted.items()):
                self.find(kind, f"{source}: {count} lines", count)

    def counts(self) -> dict[str, int]:
        """Return how many rows are ok, error, missing, and invalid if judged: all rows."""
        counts = {OK: 0, ERROR: 0, MISSING: 0}
        if self.judge is not None:
            counts[INVALID] = 0
        for record_id, rows in self.expected.items():
            outcome = self.outcomes.get(record_id)
            counts[MISSING if outcome is None else outcome.ended] += rows
        return counts

    def served_by(self) -> dict[str, int]:
        """Return how many rows were answered by batch and by the fallback."""
        answered: Counter[str] = Counter()
        for record_id, outcome in self.outcomes.items():
            if outcome.is_ok:
                answered[outcome.origin.served_by] += self.expected[record_id]
        return {BATCH: answered[BATCH], FALLBACK: answered[FALLBACK]}

    def unanswered(self) -> list[str]:
        """Return the ids that are not answered and may still be, in order."""
        return sorted(record_id for record_id in self.expected if self._may_be_answered(record_id))

    def invalid_among(self, record_ids: Iterable[str]) -> list[str]:
        """Return those of these records whose answer does not fit."""
        found = ((i, self.outcomes.get(i)) for i in record_ids)
        return [i for i, outcome in found if outcome is not None and outcome.ended == INVALID]

    def _may_be_answered(self, record_id: str) -> bool:
        outcome = self.outcomes.get(record_id)
        if outcome is not None and outcome.ended == INVALID:
            return self._invalid[record_id] <= self.retries
        return outcome is None or bool(outcome.record.error and outcome.record.error.is_retryable)

    def find(self, kind: str, detail: str, count: int = 1) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, self.shard_id, detail, count))


def _ended(line: OutputRecord, parsed: Parsed | None) -> str:
    if line.error is not None:
        return ERROR
    return INVALID if parsed is not None and parsed.reason is not None else OK


def _claims(manifest: OutputManifest | None) -> dict[str, int | None]:
    if manifest is None:
        return {}
    return {OK: manifest.succeeded, ERROR: manifest.failed}
