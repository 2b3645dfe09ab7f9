"""Why records are asked: what is not as it was in the last run, or is in no store of answers."""

from __future__ import annotations

from collections.abc import Sequence

from bedrock_spark.planning.earlier import SOURCE_CHANGED, Change, EarlierRun
from bedrock_spark.planning.values import Why

NOTHING_KEPT = "no answers are kept"


def why_all(records: int, earlier: EarlierRun | None, changes: Sequence[Change]) -> list[Why]:
    """Return why a run without a store of answers asks all its records; [] if it is the first.

    records: all of the run; earlier: the last run of the same source; changes: since that run
    """
    if earlier is None or not records:
        return []
    asked = [change.reason for change in changes if change.reason != SOURCE_CHANGED]
    if asked:
        return [Why(reason=" and ".join(dict.fromkeys(asked)), records=records)]
    detail = "answers.uri is not set, so a new run asks everything"
    return [Why(reason=NOTHING_KEPT, records=records, detail=detail)]
