"""Whether enough rows of a run have an answer: the limits of the config, on the counts of a report.

A run that publishes its results may still be one that a person should look at: half of its rows are
rejected, or all answers are errors. This module decides that, in words. It raises nothing: what was
answered is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.config.base import is_above
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, REJECTED, UNFOUND

# The outcomes of a row that was asked, or was to be asked, and has no answer.
FAILED_OUTCOMES = (ERROR, INVALID, MISSING, UNFOUND)


@dataclass(frozen=True)
class RowCounts:
    """The rows of a run.

    outcomes: rows by outcome
    unanswered: rows without an answer that may still get one
    is_final: whether no later stage will ask them
    """

    rows: int
    outcomes: Mapping[str, int]
    unanswered: int = 0
    is_final: bool = True

    @property
    def failed(self) -> int:
        """Return the rows without an answer, without rejected rows and those still to be asked."""
        failed = sum(self.outcomes.get(outcome, 0) for outcome in FAILED_OUTCOMES)
        return failed if self.is_final else failed - self.unanswered


def shortfall(counts: RowCounts, config: Config) -> str | None:
    """Return what is wrong with the rows of a run, without a reason; None if enough are answered.

    If the config has a fallback, no row may be left that it could answer.
    """
    rows, ok = counts.rows, counts.outcomes.get(OK, 0)
    rejected, failed = counts.outcomes.get(REJECTED, 0), counts.failed
    if not rows:
        return None
    if rejected == rows:
        return f"all {rows:,} rows were rejected, and nothing was asked"
    if counts.is_final and not ok:
        return f"none of {rows:,} rows has an answer"
    # Prepare does not count the rows that on_duplicate_key: first leaves out, and stops if too many
    # others are rejected. Here they are all rejects.
    leaves_out = config.source.on_duplicate_key == "first"
    limit = None if leaves_out else config.source.max_rejects
    if limit is not None and is_above(rejected, limit, rows):
        return _above(rejected, rows, "were rejected", "source.max_rejects", limit)
    limit = config.results.max_errors
    if is_above(failed, limit, rows):
        return _above(failed, rows, "have no answer", "results.max_errors", limit)
    if counts.is_final and counts.unanswered and config.fallback is not None:
        return f"{counts.unanswered:,} of {rows:,} rows are still unanswered after the fallback"
    return None


def _above(count: int, rows: int, what: str, key: str, limit: float) -> str:
    allowed = f"{limit * 100:g}%" if isinstance(limit, float) else f"{limit:,} rows"
    return f"{count:,} of {rows:,} rows ({count / rows:.1%}) {what}, more than {key} ({allowed})"
