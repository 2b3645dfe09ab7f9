"""What does not fit in the outputs of a shard, in words that hold no prompt and no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from sys import intern
from typing import Any

import msgspec

from bedrock_spark.outputs.judge import EMPTY, UNREADABLE
from bedrock_spark.outputs.record_outcome import Outcome

EXAMPLES = 5


class Finding(msgspec.Struct, frozen=True, gc=False):
    """Something that does not fit, in words that hold no prompt and no answer."""

    kind: str
    shard_id: str
    detail: str
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the report shows it."""
        # A run may have very many, of few kinds.
        return {
            "kind": intern(self.kind),
            "shard_id": self.shard_id,
            "detail": self.detail,
            "count": self.count,
        }


def answer_findings(shard_id: str, outcomes: Iterable[Outcome], several_fit: int) -> list[Finding]:
    """Return the findings on answers in which nothing is found, or several objects fit.

    outcomes: of the records that are not settled
    several_fit: the number of other answers in which several objects fit
    """
    shapes: dict[str, Counter[str]] = {UNREADABLE: Counter(), EMPTY: Counter()}
    several, findings = several_fit, []
    for outcome in outcomes:
        judgement = outcome.judgement
        if judgement is None:
            continue
        if judgement.finding is not None:
            shapes[judgement.finding][judgement.shape] += 1
        if judgement.parsed is not None and judgement.parsed.others:
            several += 1
    for kind, counts in shapes.items():
        if counts:
            named = "; ".join(f"{n} x {shape}" for shape, n in counts.most_common(EXAMPLES))
            more = f"; {len(counts) - EXAMPLES} other shapes" if len(counts) > EXAMPLES else ""
            detail = f"answers of these shapes: {named}{more}"
            findings.append(Finding(kind, shard_id, detail, counts.total()))
    if several:
        detail = f"in {several} answers, the last object counts"
        findings.append(Finding("several_fit", shard_id, detail, several))
    return findings
