"""Rows are asked many at a time, and never for more money than is allowed."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.clock import EndableClock
from bedrock_spark.config import TokenPrices
from bedrock_spark.errors import InvokeRefusedError
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.preview.ask_rows import Asker, Question, RefusedModelError, ask_rows
from bedrock_spark.preview.values import AnsweredRow
from tests.unit.fakes import CLAUDE, FakeClock, make_config


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
        cost = None if body == b"unknown" else Decimal(body.decode())
        return AnsweredRow(number=0, row={}, outcome="ok", cost=cost)


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


def test_a_call_whose_cost_is_not_known_counts_as_what_was_reserved() -> None:
    """Else such calls would cost any sum, and none of them would be in it."""
    asker = FakeAsker()
    questions = [Question(0, (n,), b"unknown", Decimal(4)) for n in range(5)]
    found = ask(asker, questions, Decimal(10))
    assert [a.outcome for _, a in found].count("ok") == len(asker.asked) == 2
    assert {a.reason for _, a in found if a.outcome == "missing"} == {
        "not asked: it may cost more than is left of $10.00"
    }


ANSWER = {"content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn"}
COUNTED = {**ANSWER, "usage": {"input_tokens": 3_000, "output_tokens": 1_000}}
PRICE = TokenPrices(input=Decimal("0.001"), output=Decimal("0.002"))


@dataclass
class FakeRuntime:
    """Replies to every call of InvokeModel in turn; the last reply is that to all later calls.

    then: is called before each reply
    """

    replies: list[Any]
    calls: int = 0
    then: Callable[[], None] = lambda: None

    def invoke_model(self, **_: Any) -> dict[str, Any]:
        reply = self.replies[min(self.calls, len(self.replies) - 1)]
        self.calls += 1
        self.then()
        if isinstance(reply, Exception):
            raise reply
        return {
            "body": io.BytesIO(reply if isinstance(reply, bytes) else json.dumps(reply).encode())
        }


def failed(code: str, status: int) -> ClientError:
    reply = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(cast(Any, reply), "InvokeModel")


def asker_of(clock: FakeClock, *replies: Any, price: TokenPrices | None = PRICE) -> Asker:
    caller = ModelCaller(
        client=cast(Any, FakeRuntime([*replies])),
        model_id=CLAUDE,
        family=family_by_name("anthropic"),
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        attempts=2,
    )
    return Asker(make_config(), caller, price, None)


BUSY = failed("ThrottlingException", 429)


@pytest.mark.parametrize(
    ("reply", "outcome", "cost"),
    [
        (COUNTED, "ok", "0.005"),
        (ANSWER, "ok", None),
        (b"oops", "error", None),
        (ReadTimeoutError(endpoint_url="x"), "error", None),
        (failed("InternalServerException", 500), "error", None),
        (failed("ValidationException", 400), "error", "0"),
        (BUSY, "error", "0"),
    ],
)
def test_only_what_is_surely_not_billed_costs_nothing(
    reply: Any, outcome: str, cost: str | None, clock: FakeClock
) -> None:
    """Another call without counts has no known cost, and counts as the most that it can be."""
    row = asker_of(clock, reply).ask(b'{"messages":[]}')
    assert (row.outcome, row.cost) == (outcome, None if cost is None else Decimal(cost))
    assert asker_of(clock, reply, price=None).ask(b'{"messages":[]}').cost is None


def test_each_row_has_its_own_time_for_repeated_calls(clock: FakeClock) -> None:
    """A row that is asked late in a long preview is not given up at its first throttling."""
    asker = asker_of(clock, BUSY, COUNTED)
    clock.sleep(3_600)
    assert asker.ask(b'{"messages":[]}').outcome == "ok"
    begun = clock.now()
    assert asker_of(clock, BUSY).ask(b'{"messages":[]}').outcome == "error"
    assert 180 <= clock.now() - begun < 240


def test_a_model_that_answers_nothing_ends_the_preview() -> None:
    questions = [Question(0, (n,), b"refused", None) for n in range(9)]
    asker = FakeAsker()
    with pytest.raises(RefusedModelError) as raised:
        ask(asker, questions, Decimal(1))
    assert raised.value.refusal.error_code == 403
    assert len(asker.asked) < len(questions)


def test_a_stop_waits_for_the_running_calls_and_reports_them() -> None:
    """They are paid for."""
    both = threading.Barrier(2)

    class TwoAtOnce(FakeAsker):
        def ask(self, body: bytes) -> AnsweredRow:
            both.wait(30)
            return super().ask(body)

    def run(*, stops: bool) -> list[bytes]:
        found: list[bytes] = []

        def note(question: Question, _: AnsweredRow) -> None:
            found.append(question.body)

        questions = [Question(0, (n,), b"%d" % n, None) for n in range(4)]
        is_stopped = lambda: stops and bool(found)  # noqa: E731
        asker = cast(Asker, TwoAtOnce())
        ask_rows([asker], questions, 2, Decimal(9), note, is_stopped)
        return found

    assert sorted(run(stops=False)) == [b"0", b"1", b"2", b"3"]
    assert sorted(run(stops=True)) == [b"0", b"1"]


@pytest.mark.parametrize("error", [BrokenPipeError, KeyboardInterrupt])
def test_an_error_of_the_report_hides_no_other_answer(error: type[BaseException]) -> None:
    """The other call ends after the first one was reported."""
    reported, both = threading.Event(), threading.Barrier(2)
    found: list[bytes] = []

    class Waiting(FakeAsker):
        def ask(self, body: bytes) -> AnsweredRow:
            both.wait(30)
            if body == b"2":
                assert reported.wait(30)
            return super().ask(body)

    def note(question: Question, _: AnsweredRow) -> None:
        found.append(question.body)
        reported.set()
        raise error

    questions = [Question(0, (n,), b, None) for n, b in enumerate([b"1", b"2", b"3"])]
    with pytest.raises(error):
        ask_rows([cast(Asker, Waiting())], questions, 2, Decimal(9), note)
    assert found == [b"1", b"2"]


def test_a_refusal_hides_no_other_answer() -> None:
    found: list[bytes] = []
    both = threading.Barrier(2)

    class Refusing(FakeAsker):
        def ask(self, body: bytes) -> AnsweredRow:
            both.wait(30)
            return super().ask(body)

    questions = [Question(0, (0,), b"refused", None), Question(0, (1,), b"1", None)]
    note: Callable[[Question, AnsweredRow], None] = lambda q, _: found.append(q.body)  # noqa: E731
    with pytest.raises(RefusedModelError):
        ask_rows([cast(Asker, Refusing())], questions, 2, Decimal(9), note)
    assert found == [b"1"]


@pytest.mark.parametrize(
    ("reply", "cost"), [(BUSY, Decimal()), (failed("InternalServerException", 500), None)]
)
def test_a_stop_ends_a_call_that_waits_to_be_repeated(
    reply: Any, cost: Decimal | None, clock: FakeClock
) -> None:
    """Its row has the error of the last call, which may be billed or not."""
    end = threading.Event()
    asker = asker_of(clock, reply, COUNTED)
    runtime = cast(FakeRuntime, asker.caller.client)
    runtime.then = end.set
    stopped = replace(asker, caller=replace(asker.caller, clock=EndableClock(clock, end)))
    row = stopped.ask(b'{"messages":[]}')
    assert (row.outcome, row.cost, runtime.calls) == ("error", cost, 1)
