"""Whether enough rows of a run have an answer: the limits of the config, on the counts of a report.

A run that publishes its results may still be one that a person should look at: half of its rows are
rejected, or all answers are errors. This module decides that, in words. It raises nothing: what was
answered is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.config.base import is_above
from bedrock_spark.outputs.outcomes import NOT_OK, OK, REFUSED, REJECTED, TRUNCATED
from bedrock_spark.outputs.reasons import Reason

# How many reasons a sentence has; the closing table and report.json have more.
_REASONS = 3


@dataclass(frozen=True)
class RowCounts:
    """The rows of a run that is over.

    outcomes: rows by outcome
    unanswered: rows that the fallback could still answer
    """

    rows: int
    outcomes: Mapping[str, int]
    unanswered: int = 0

    def of(self, outcomes: Iterable[str]) -> int:
        """Return the rows with one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)


@dataclass(frozen=True)
class Shortfall:
    """What is wrong with the rows of a run, in words, and the outcomes that it is about."""

    text: str
    outcomes: tuple[str, ...] = NOT_OK

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
    message = reason.message or "without a message"
    # The message of some outcomes begins with their name, as it is in the column error_message.
    outcome = "" if message.startswith(f"{reason.outcome}: ") else f"{reason.outcome}{code}: "
    return f"{outcome}{message}{example}"


def shortfall(counts: RowCounts, config: Config) -> Shortfall | None:
    """Return what is wrong with the rows of a run; None if enough are ok.

    Rows that are truncated or refused do not count as wrong if the config keeps them. If the config
    has a fallback, no row may be left that it could answer.
    """
    rows, rejected = counts.rows, counts.of([REJECTED])
    kept = _kept(config)
    failed = tuple(outcome for outcome in NOT_OK if outcome not in kept)
    if not rows:
        return None
    if rejected == rows:
        return Shortfall(f"all {rows:,} rows were rejected, and nothing was asked", (REJECTED,))
    if not counts.of([OK, *kept]):
        return Shortfall(f"none of {rows:,} rows is ok", (*failed, REJECTED))
    # Prepare does not count the rows that on_duplicate_key: first leaves out, and stops if too many
    # others are rejected. Here they are all rejects.
    leaves_out = config.source.on_duplicate_key == "first"
    limit = None if leaves_out else config.source.max_rejects
    if limit is not None and is_above(rejected, limit, rows):
        text = _above(rejected, rows, "were rejected", "source.max_rejects", limit)
        return Shortfall(text, (REJECTED,))
    limit = config.results.max_errors
    if is_above(counts.of(failed), limit, rows):
        text = _above(counts.of(failed), rows, "are not ok", "results.max_errors", limit)
        return Shortfall(text, failed)
    if counts.unanswered and config.fallback is not None:
        left = f"{counts.unanswered:,} of {rows:,} rows are still unanswered after the fallback"
        return Shortfall(left)
    return None


def _kept(config: Config) -> tuple[str, ...]:
    """Return the outcomes that the user wants to have as they are, although they are not ok."""
    choices = {TRUNCATED: config.request.on_truncated, REFUSED: config.request.on_refused}
    return tuple(outcome for outcome, choice in choices.items() if choice == "keep")


def _above(count: int, rows: int, what: str, key: str, limit: float) -> str:
    allowed = f"{limit * 100:g}%" if isinstance(limit, float) else f"{limit:,} rows"
    return f"{count:,} of {rows:,} rows ({count / rows:.1%}) {what}, more than {key} ({allowed})"
