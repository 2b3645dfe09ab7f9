"""Rows that the config does not allow: repeated keys, and more rejects than `max_rejects`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bedrock_spark.config import Config
from bedrock_spark.config.base import is_above
from bedrock_spark.errors import DuplicateKeyError, NullKeyError, PlanError, TooManyRejectsError
from bedrock_spark.spark.prepare.damage import NO_KEY, NOT_PARSED
from bedrock_spark.spark.prepare.source_columns import hint_for_corrupt
from bedrock_spark.spark.prepare.task import Summaries

_SHOWN_REASONS = 5


def refusals_of(
    config: Config, summaries: Summaries, place: str = "", kept_rows: int = 0
) -> Iterator[PlanError]:
    """Yield why prepare ends without shards, if it does: the errors that it raises.

    summaries: of the buckets
    place: a sentence that says where the rows are, and a space
    kept_rows: how many rows are in no bucket, because their answers were kept
    The keys themselves are data, and stand in no message.
    """
    duplicates = sum(bucket["duplicates"] for bucket in summaries)
    if duplicates:
        yield DuplicateKeyError(
            f"source.key: {', '.join(config.source.key)} is not unique: {duplicates} rows repeat a "
            f"key. {place}Name more key columns, or keep one row of each by "
            "source.on_duplicate_key: first; nothing was submitted",
            rows=duplicates,
        )
    limit = config.source.max_rejects
    rows = sum(bucket["rows"] for bucket in summaries) + kept_rows
    # Repeated keys are not counted: prepare goes on only if the config says to leave them out.
    rejected = sum(bucket["rejected"] - bucket["repeated"] for bucket in summaries)
    if limit is not None and is_above(rejected, limit, rows):
        common = reasons_of(summaries).most_common(_SHOWN_REASONS)
        shown = "; ".join(f"{reason}: {n:,} rows" for reason, n in common)
        allowed = f"{limit * 100:g} %" if isinstance(limit, float) else f"{limit:,}"
        hint = hint_for_corrupt(config.source) if any(NOT_PARSED in r for r, _ in common) else ""
        kind = NullKeyError if common[0][0].endswith(NO_KEY) else TooManyRejectsError
        yield kind(
            f"source.max_rejects: {rejected:,} of {rows:,} rows cannot become records, and at most "
            f"{allowed} may. {shown}. {hint}{'. ' if hint else ''}{place}Nothing was submitted. "
            f"Correct them, or allow them by source.max_rejects: {rejected}"
        )


def reasons_of(summaries: Summaries) -> Counter[str]:
    """Return the number of rejected rows by reason, as far as the buckets kept them."""
    reasons: Counter[str] = Counter()
    for bucket in summaries:
        reasons.update(bucket["reasons"])
    return reasons
