"""What a chat has used so far. Each question sends all earlier turns again, and pays for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.playground.events import Ended


@dataclass
class Totals:
    """The sums of a chat.

    answers: that were asked for and may be billed
    uncounted, unpriced: those of them without counts of tokens, or without a known cost
    """

    answers: int = 0
    given: int = 0
    made: int = 0
    cost: Decimal = Decimal()
    uncounted: int = 0
    unpriced: int = 0

    def add(self, end: Ended) -> None:
        """Add an answer."""
        answer = end.answer
        self.answers += 1
        self.given += answer.input_tokens or 0
        self.made += answer.output_tokens or 0
        self.cost += end.cost or Decimal()
        self.uncounted += answer.input_tokens is None
        self.unpriced += end.cost is None

    def add_unknown(self) -> None:
        """Add an answer that was not received as a whole: its counts come last."""
        self.answers += 1
        self.uncounted += 1
        self.unpriced += 1

    @property
    def words(self) -> str:
        """Return `in all: 3 answers, tokens: 120 in, 80 out, $0.0003`, and what is not in it."""
        answers = _answers(self.answers)
        cost = f", {small_dollars(self.cost)}" if self.unpriced < self.answers else ""
        unknown = max(self.uncounted, self.unpriced if cost else 0)
        more = f", without {_answers(unknown)} whose use is not known" if unknown else ""
        return f"in all: {answers}, tokens: {self.given:,} in, {self.made:,} out{cost}{more}"


def _answers(number: int) -> str:
    return "1 answer" if number == 1 else f"{number:,} answers"
