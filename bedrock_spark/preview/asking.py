"""Ask the rows of one config or several: what is kept is used, what is paid for is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.canary.access import OTHER_ID, no_access
from bedrock_spark.clock import Clock
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.errors import AnswerStoreError, BudgetError, InvokeRefusedError, StorageError
from bedrock_spark.families import family_of
from bedrock_spark.invoke.caller import InvokeOptions, ModelCaller, call_metadata
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.preview.ask_rows import Asker, Keeper, Question, RefusedModelError, ask_rows
from bedrock_spark.preview.estimate import bounds_of, estimate, most_of
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.sides import Side
from bedrock_spark.preview.values import AnsweredRow, Estimate
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.run import new_run_id

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_READ_TIMEOUT_SECONDS = 300
# Is called with the number of the config and a row, as soon as the row has its answer.
OnRow = Callable[[int, AnsweredRow], None]
# Returns what also gets the answers that another keeper gets.
WithKeeper = Callable[[Side, Keeper], Keeper]


def as_it_is(_side: Side, keeper: Keeper) -> Keeper:
    """Return the keeper of the store of answers: nothing else gets the answers."""
    return keeper


def estimated(
    side: Side, observe: Observer = ignore_progress, *, asks_service: bool = True
) -> Estimate:
    """Return what the rows to ask cost; note the bound of each request in the side.

    asks_service: whether the service counts the tokens, which is free; else they are bounded
    """
    bodies = [body for _, body in side.groups()]
    asked = side.config, side.aws, side.prices, bodies, observe
    side.bounds = bounds_of(*asked, asks_service=asks_service)
    return estimate(side.config, side.prices, side.bounds)


def ask_sides(
    sides: Sequence[Side],
    options: PreviewOptions,
    clock: Clock,
    on_row: OnRow,
    with_keeper: WithKeeper = as_it_is,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Ask the wanted rows of all sides, a row by both configs before the next one.

    is_stopped: once it is true, no further row is asked; the running calls end as ever
    If `on_row` raises, no further row is asked, and the error is raised when the running calls have
    ended. Their answers are kept.
    """

    def note(which: int, number: int, answered: AnsweredRow, shares: int | None = None) -> None:
        on_row(which, sides[which].note(number, answered, options, shares))

    def note_all(question: Question, answered: AnsweredRow) -> None:
        first, *others = question.rows
        note(question.which, first, answered)
        for number in others:
            note(question.which, number, answered, shares=first)

    for which, side in enumerate(sides):
        for number, row in side.wanted_rows():
            if row.line is None:
                rejected = AnsweredRow(number=0, row={}, outcome=REJECTED, reason=row.reason)
                note(which, number, rejected)
    questions = sorted(_questions(sides), key=lambda each: each.rows[0])
    _refuse_too_dear(questions, options)
    askers = [_asker(side, options, clock, with_keeper) for side in sides]
    for which, (side, asker) in enumerate(zip(sides, askers, strict=True)):
        for number, row in side.wanted_rows():
            if row.line is not None and (kept := side.kept.get(row.line.body)) is not None:
                note(which, number, asker.read_kept(kept, row.line.body))
    try:
        ask_rows(askers, questions, options.concurrency, options.max_cost, note_all, is_stopped)
    except RefusedModelError as exc:
        side = sides[exc.which]
        raise InvokeRefusedError(
            no_access(side.aws, side.model_id, exc.refusal, OTHER_ID),
            error_code=exc.refusal.error_code,
            error_type=exc.refusal.error_type,
        ) from None
    finally:
        # Also if it is interrupted: what was paid for is kept.
        for asker in askers:
            _keep(asker, clock)


def _keep(asker: Asker, clock: Clock) -> None:
    """Add the answers to the store, if there is one. They were paid for, so they are shown anyway.

    An error here must not hide them, nor the error that ended the preview.
    """
    if asker.keeper is None:
        return
    try:
        asker.keeper.write(clock.now())
    except (AnswerStoreError, StorageError) as exc:
        log.warning("the answers of this preview are not kept: %s", exc)


def _questions(sides: Sequence[Side]) -> Iterator[Question]:
    for which, side in enumerate(sides):
        for (rows, body), bound in zip(side.groups(), side.bounds, strict=True):
            yield Question(which, rows, body, most_of(side.prices, bound))


def _refuse_too_dear(questions: Sequence[Question], options: PreviewOptions) -> None:
    costs = [each.most for each in questions if each.most is not None]
    if costs and min(costs) > options.max_cost:
        raise BudgetError(
            f"preview: one row may cost {small_dollars(min(costs))}, more than "
            f"{options.limit_name} {small_dollars(options.max_cost)}, and nothing was asked. Raise "
            "it, or set a lower request.max_tokens"
        )


def _asker(side: Side, options: PreviewOptions, clock: Clock, with_keeper: WithKeeper) -> Asker:
    run_id = new_run_id(side.config.run_uri)
    caller = ModelCaller(
        client=runtime_client(side.aws, _READ_TIMEOUT_SECONDS, options.concurrency),
        model_id=side.model_id,
        family=family_of(side.config),
        limiter=RateLimiter(clock, None, None, learns=False),
        clock=clock,
        attempts=_ATTEMPTS,
        options=InvokeOptions(metadata=call_metadata(run_id, "preview")),
    )
    from bedrock_spark.invoke.kept_calls import PREVIEW, CallKeeper

    prices = side.prices.of_canary, side.prices.image
    keeper = CallKeeper(side.config, side.aws, side.model_id, PREVIEW, run_id, *prices)
    return Asker(side.config, caller, *prices, with_keeper(side, keeper))
