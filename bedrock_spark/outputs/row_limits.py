"""Whether enough rows of a run have an answer: the limits of the config, on the counts of a report.

A run that publishes its results may still be one that a person should look at: half of its rows are
rejected, or all answers are errors. This module decides that, in words. It raises nothing: what was
answered is published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.config.base import is_above
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, REJECTED, UNFOUND
from bedrock_spark.outputs.reasons import Reason

# The outcomes of a row that was asked, or was to be asked, and has no answer.
FAILED_OUTCOMES = (ERROR, INVALID, MISSING, UNFOUND)
# How many reasons a sentence has; the closing table and report.json have more.
_REASONS = 3


@dataclass(frozen=True)
class RowCounts:
    """The rows of a run that is over.

    outcomes: rows by outcome
    unanswered: rows without an answer that the fallback could still answer
    """

    rows: int
    outcomes: Mapping[str, int]
    unanswered: int = 0

    @property
    def failed(self) -> int:
        """Return the rows that were to be asked and have no answer."""
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILED_OUTCOMES)


@dataclass(frozen=True)
class Shortfall:
    """What is wrong with the rows of a run, in words, and the outcomes that it is about."""

    text: str
    outcomes: tuple[str, ...] = FAILED_OUTCOMES

    def with_reasons(self, reasons: Sequence[Reason]) -> str:
        """Return the text with the commonest of the reasons that belong to it."""
        own = [reason for reason in reasons if reason.outcome in self.outcomes][:_REASONS]
        if not own:
            return self.text
        listed = "; ".join(f"{reason.count:,} x {reason_text(reason)}" for reason in own)
        return f"{self.text}. The commonest reasons: {listed}"


def reason_text(reason: Reason) -> str:
    """Return a reason in words, with the record id of one of its rows."""
    code = f" {reason.code}" if reason.code is not None else ""
    example = f" (such as record {reason.example})" if reason.example else ""
    return f"{reason.outcome}{code}: {reason.message or 'without a message'}{example}"


def shortfall(counts: RowCounts, config: Config) -> Shortfall | None:
    """Return what is wrong with the rows of a run; None if enough are answered.

    If the config has a fallback, no row may be left that it could answer.
    """
    rows, ok = counts.rows, counts.outcomes.get(OK, 0)
    rejected, failed = counts.outcomes.get(REJECTED, 0), counts.failed
    if not rows:
        return None
    if rejected == rows:
        return Shortfall(f"all {rows:,} rows were rejected, and nothing was asked", (REJECTED,))
    if not ok:
        return Shortfall(f"none of {rows:,} rows has an answer", (*FAILED_OUTCOMES, REJECTED))
    # Prepare does not count the rows that on_duplicate_key: first leaves out, and stops if too many
    # others are rejected. Here they are all rejects.
    leaves_out = config.source.on_duplicate_key == "first"
    limit = None if leaves_out else config.source.max_rejects
    if limit is not None and is_above(rejected, limit, rows):
        text = _above(rejected, rows, "were rejected", "source.max_rejects", limit)
        return Shortfall(text, (REJECTED,))
    limit = config.results.max_errors
    if is_above(failed, limit, rows):
        return Shortfall(_above(failed, rows, "have no answer", "results.max_errors", limit))
    if counts.unanswered and config.fallback is not None:
        left = f"{counts.unanswered:,} of {rows:,} rows are still unanswered after the fallback"
        return Shortfall(left)
    return None


def _above(count: int, rows: int, what: str, key: str, limit: float) -> str:
    allowed = f"{limit * 100:g}%" if isinstance(limit, float) else f"{limit:,} rows"
    return f"{count:,} of {rows:,} rows ({count / rows:.1%}) {what}, more than {key} ({allowed})"
