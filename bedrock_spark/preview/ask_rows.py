"""Ask a model about a few rows: many calls at a time, within a limit of money.

Before a call, the most that it can cost is reserved. If that does not fit into what is left, the
call waits for the running ones, which seldom cost the most. If it does not fit even then, the row
is not asked. A call whose cost is not known afterwards counts as what was reserved for it. So the
limit is never exceeded, except by the price of tokens that nothing bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from bedrock_spark.clock import Clock
from bedrock_spark.config import Config, TokenPrices
from bedrock_spark.costs.tokens import Tokens, small_dollars
from bedrock_spark.errors import (
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeThrottledError,
    ModelNotReadyError,
)
from bedrock_spark.families import Answer
from bedrock_spark.invoke.caller import NOT_JSON, ModelCaller
from bedrock_spark.invoke.redact import redact
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.outcomes import ERROR, MISSING
from bedrock_spark.preview.values import AnsweredRow
from bedrock_spark.schema import parse_ddl

if TYPE_CHECKING:
    from bedrock_spark.invoke.kept_calls import KeptCall

# No call for a row is repeated after this time since its first one.
_RETRY_SECONDS = 180.0
# The service did not carry out such a call, so it does not bill it.
_NOT_BILLED = (InvokeThrottledError, InvokeRecordError, ModelNotReadyError)


@dataclass(frozen=True)
class Question:
    """A row to ask. which: the number of the asker; most: what it costs at most, None if unknown.

    rows: the numbers of the rows that get the answer; more than one if their bodies are equal
    """

    which: int
    rows: tuple[int, ...]
    body: bytes
    most: Decimal | None


class Keeper(Protocol):
    """Takes the answers of calls; see `invoke.kept_calls.CallKeeper`."""

    def add(self, body: bytes, output: bytes, at: float, record_id: str | None = None) -> None:
        """Add an answer. at: when it was given, in seconds since the epoch"""
        ...

    def write(self, now: float) -> int:
        """Keep what was added; return how many answers. Raises AnswerStoreError."""
        ...


@dataclass
class Asker:
    """Asks the rows of one config, and reads, judges and counts the answers as a run does.

    price, image_price: on demand; None if not known
    keeper: takes the answers, for the store
    """

    config: Config
    caller: ModelCaller
    price: TokenPrices | None
    image_price: Decimal | None
    keeper: Keeper | None = None
    _judge: Judge = field(init=False)
    _names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        parse = self.config.results.parse
        fields = parse_ddl(parse.columns) if parse is not None else ()
        self._names = tuple(each.name for each in fields)
        self._judge = Judge(self.caller.family, fields, self.config.request.answer_schema)

    def ask(self, body: bytes) -> AnsweredRow:
        """Return the answer of one body, without a row. Raises InvokeRefusedError only.

        If the clock ends a wait, the call is not repeated, and the row has its last error.
        """
        clock: Clock = self.caller.clock
        began = clock.now()
        try:
            output = replace(self.caller, until=began + _RETRY_SECONDS).ask(body)
        except InvokeRefusedError:
            raise
        except InvokeError as exc:
            return AnsweredRow(
                number=0,
                row={},
                outcome=ERROR,
                reason=redact(str(exc), body),
                error_code=exc.error_code,
                cost=Decimal() if self._has_price and _is_free(exc) else None,
                seconds=clock.now() - began,
            )
        ended = clock.now()
        if self.keeper is not None:
            self.keeper.add(body, output, ended)
        return self._read(output, body, ended - began)

    def read_kept(self, kept: KeptCall, body: bytes) -> AnsweredRow:
        """Return an answer of the store, which costs nothing."""
        answered = self._read(kept.output, body, None)
        return answered.model_copy(update={"cost": Decimal(), "kept_from": kept.run_id})

    def _read(self, output: bytes, body: bytes, seconds: float | None) -> AnsweredRow:
        answer, judged = self._judge.read(output)
        error, parsed = judged.error, judged.parsed
        message = None if error is None or error.message is None else redact(error.message, body)
        values = parsed.values if parsed is not None else None
        return AnsweredRow(
            number=0,
            row={},
            outcome=judged.ended,
            reason=message or judged.reason or (parsed.reason if parsed is not None else None),
            error_code=error.code if error is not None else None,
            text=answer.text,
            tool_input=answer.tool_input,
            columns=_columns(self._names, values),
            vector=len(answer.embedding) if answer.embedding is not None else None,
            images=len(answer.images),
            stop_reason=judged.stop_reason,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost=self._cost(answer),
            seconds=seconds,
        )

    @property
    def _has_price(self) -> bool:
        return self.price is not None or self.image_price is not None

    def _cost(self, answer: Answer) -> Decimal | None:
        """Return what an answer cost; None if the price is not known, or it counts no tokens."""
        is_counted = answer.input_tokens is not None or bool(answer.images)
        if not self._has_price or not is_counted:
            return None
        tokens = Tokens(
            *(answer.input_tokens or 0, answer.output_tokens or 0, len(answer.images)),
            *(answer.cache_read_tokens or 0, answer.cache_write_tokens or 0),
        )
        return tokens.cost(self.price, self.image_price)


def _is_free(exc: InvokeError) -> bool:
    """Tell whether a call that failed is surely not billed."""
    return isinstance(exc, _NOT_BILLED) and exc.error_type != NOT_JSON


def _columns(names: tuple[str, ...], values: Any) -> dict[str, Any] | None:
    return None if values is None or not names else dict(zip(names, values, strict=True))


class RefusedModelError(Exception):
    """The model of an asker would answer no row. which: the asker's number."""

    def __init__(self, which: int, refusal: InvokeRefusedError) -> None:
        super().__init__(str(refusal))
        self.which, self.refusal = which, refusal


# Is called with a question and its answer as soon as it is there.
OnAnswer = Callable[[Question, AnsweredRow], None]


@dataclass
class _Money:
    """What is spent, and what is reserved for running calls. An unknown price counts as nothing."""

    limit: Decimal
    spent: Decimal = Decimal()
    reserved: Decimal = Decimal()

    def fits(self, most: Decimal | None) -> bool:
        return self.spent + self.reserved + (most or Decimal()) <= self.limit


def ask_rows(
    askers: Sequence[Asker],
    questions: Iterable[Question],
    concurrency: int,
    limit: Decimal,
    on_answer: OnAnswer,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Ask all questions, at most `concurrency` at a time, and report each as it is answered.

    limit: dollars. A question that may exceed it is reported as `missing`
    is_stopped: once it is true, no further question is asked
    Raises RefusedModelError if a model would answer no question. However it ends, the answers of
    the calls that run are waited for and reported: they are paid for.
    """
    money = _Money(limit)
    running: dict[Future[AnsweredRow], Question] = {}

    def settle() -> None:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            question = running.pop(future)
            most = question.most or Decimal()
            money.reserved -= most
            try:
                answered = future.result()
            except InvokeRefusedError as exc:
                raise RefusedModelError(question.which, exc) from None
            money.spent += most if answered.cost is None else answered.cost
            on_answer(question, answered)

    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for question in questions:
                while running and (len(running) >= concurrency or not money.fits(question.most)):
                    settle()
                if is_stopped():
                    break
                if not money.fits(question.most):
                    on_answer(question, _unasked(limit))
                    continue
                money.reserved += question.most or Decimal()
                running[pool.submit(askers[question.which].ask, question.body)] = question
            while running:
                settle()
        except BaseException as exc:
            pool.shutdown(wait=True, cancel_futures=True)
            for future, question in running.items():
                if not future.cancelled() and future.exception() is None:
                    # What failed once, such as a closed pipe, must not hide the other answers.
                    with suppress(type(exc)):
                        on_answer(question, future.result())
            raise


def _unasked(limit: Decimal) -> AnsweredRow:
    reason = f"not asked: it may cost more than is left of {small_dollars(limit)}"
    return AnsweredRow(number=0, row={}, outcome=MISSING, reason=reason)
