"""The sums of a chat, and what is not in them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bedrock_spark.cli.invoke.chat_totals import Totals
from bedrock_spark.families import Answer
from bedrock_spark.families.endings import Ending
from bedrock_spark.playground.events import Ended, Timing


def ended(given: int | None, made: int | None, cost: str | None) -> Ended:
    answer = Answer(text="x", input_tokens=given, output_tokens=made)
    dollars = None if cost is None else Decimal(cost)
    return Ended(answer, (), Ending.FINISHED, b"{}", True, Timing(0.0, 0.0), dollars)


@pytest.mark.parametrize(
    ("ends", "unknown", "words"),
    [
        ([], 0, "in all: 0 answers, tokens: 0 in, 0 out"),
        ([ended(1_200, 30, "1.5")], 0, "in all: 1 answer, tokens: 1,200 in, 30 out, $1.50"),
        ([ended(1, 2, None)], 0, "in all: 1 answer, tokens: 1 in, 2 out"),
        (
            [ended(1, 2, "0.5"), ended(3, 4, None)],
            0,
            "in all: 2 answers, tokens: 4 in, 6 out, $0.5000, without 1 answer whose use is not "
            "known",
        ),
        (
            [ended(None, None, None)],
            2,
            "in all: 3 answers, tokens: 0 in, 0 out, without 3 answers whose use is not known",
        ),
    ],
)
def test_what_is_not_known_is_said(ends: list[Ended], unknown: int, words: str) -> None:
    """A sum never passes for the whole if an answer is not in it."""
    totals = Totals()
    for end in ends:
        totals.add(end)
    for _ in range(unknown):
        totals.add_unknown()
    assert totals.words == words
