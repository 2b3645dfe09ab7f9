"""Rows are asked many at a time, and never for more money than is allowed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.errors import InvokeRefusedError
from bedrock_spark.preview.ask_rows import Asker, Question, RefusedModelError, ask_rows
from bedrock_spark.preview.values import AnsweredRow


@dataclass
class FakeAsker:
    """Answers each body with the cost that it names; notes how many calls run at once."""

    now: int = 0
    most: int = 0
    asked: list[bytes] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def ask(self, body: bytes) -> AnsweredRow:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.asked.append(body)
        if body == b"refused":
            raise InvokeRefusedError("no", error_code=403, error_type="AccessDenied")
        with self.lock:
            self.now -= 1
        return AnsweredRow(number=0, row={}, outcome="ok", cost=Decimal(body.decode()))


def ask(
    asker: FakeAsker, questions: list[Question], limit: Decimal, concurrency: int = 3
) -> list[tuple[Question, AnsweredRow]]:
    found: list[tuple[Question, AnsweredRow]] = []
    note: Callable[[Question, AnsweredRow], None] = lambda q, a: found.append((q, a))  # noqa: E731
    ask_rows([cast(Asker, asker)], questions, concurrency, limit, note)
    return found


costs = st.integers(0, 50).map(Decimal)


@given(
    pairs=st.lists(st.tuples(costs, costs).map(sorted), max_size=12),
    limit=st.integers(0, 120).map(Decimal),
    concurrency=st.integers(1, 4),
)
def test_the_limit_is_never_exceeded_and_every_row_is_reported(
    pairs: list[list[Decimal]], limit: Decimal, concurrency: int
) -> None:
    """As long as no answer costs more than what was reserved for it."""
    asker = FakeAsker()
    questions = [Question(0, (n,), str(c).encode(), most) for n, (c, most) in enumerate(pairs)]
    found = ask(asker, questions, limit, concurrency)
    assert sorted(question.rows[0] for question, _ in found) == [*range(len(pairs))]
    assert sum((a.cost or Decimal() for _, a in found), Decimal()) <= limit
    assert asker.most <= concurrency
    missing = [question for question, a in found if a.outcome == "missing"]
    assert len(missing) == len(pairs) - len(asker.asked)
    if sum((most for _, most in pairs), Decimal()) <= limit:
        assert missing == []


def test_a_row_that_does_not_fit_waits_for_the_real_cost_of_others() -> None:
    """Two rows reserve all, and cost little: the third is asked, too."""
    questions = [Question(0, (n,), b"1", Decimal(5)) for n in range(3)]
    assert {a.outcome for _, a in ask(FakeAsker(), questions, Decimal(10))} == {"ok"}


def test_a_model_that_answers_nothing_ends_the_preview() -> None:
    questions = [Question(0, (n,), b"refused", None) for n in range(9)]
    asker = FakeAsker()
    with pytest.raises(RefusedModelError) as raised:
        ask(asker, questions, Decimal(1))
    assert raised.value.refusal.error_code == 403
    assert len(asker.asked) < len(questions)
