"""Preview a config: ask for the answers of its first rows on demand.

Nothing is written, but the answers into the store of answers, if the config has one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import runtime_client
from bedrock_spark.canary.access import OTHER_ID, no_access
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.costs.tokens import max_answer_tokens, small_dollars
from bedrock_spark.errors import (
    AnswerStoreError,
    BudgetError,
    InvokeRefusedError,
    StorageError,
)
from bedrock_spark.families import family_of
from bedrock_spark.invoke.caller import InvokeOptions, ModelCaller, call_metadata
from bedrock_spark.invoke.rate_limit import RateLimiter
from bedrock_spark.outputs.outcomes import ERROR, MISSING, REJECTED
from bedrock_spark.preview.ask_rows import Asker, Question, RefusedModelError, ask_rows
from bedrock_spark.preview.estimate import estimate, input_tokens_of, most_of
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.sides import Side, open_sides
from bedrock_spark.preview.values import (
    AnsweredRow,
    Estimate,
    Preview,
    Previewed,
    Whole,
    is_same,
)
from bedrock_spark.preview.whole import whole_of
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.run import new_run_id
from bedrock_spark.schema import parse_ddl

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.spark.prepare.first_rows import FirstRows, RenderedRow

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_READ_TIMEOUT_SECONDS = 300
# Is called with the number of the config and a row, as soon as the row has its answer.
OnRow = Callable[[int, AnsweredRow], None]
# Is called with the estimates of all configs, before anything is asked.
OnEstimate = Callable[[Sequence[Estimate], Sequence["RenderedRow"]], None]


def ignore_estimates(_estimates: Sequence[Estimate], _rows: Sequence[RenderedRow]) -> None:
    """Show no estimate."""


def ignore_row(_which: int, _row: AnsweredRow) -> None:
    """Show no row."""


def preview(
    spark: SparkSession | Callable[[Config], SparkSession],
    df: DataFrame | None,
    config: AnyConfig,
    options: PreviewOptions | None = None,
    *,
    compare: AnyConfig | None = None,
    names: Sequence[str] = ("config", "other"),
    on_estimate: OnEstimate = ignore_estimates,
    on_row: OnRow = ignore_row,
    observe: Observer = ignore_progress,
    clock: Clock | None = None,
) -> Preview:
    """Return the answers of the first rows of `df`, or of the config's source if `df` is None.

    The rows are rendered, asked, read and judged as in a run, but on demand, one by one: of a
    model that a run asks by batch, at twice the price. Answers that are kept in the store of the
    config cost nothing, and the others are added to it. Nothing else is written.

    spark: a session, or a function that returns one
    compare: another config, which is asked about the same rows; its source is not read
    names: of the configs, for people
    observe: is told how many requests have their tokens counted, before anything is paid
    Raises a BedrockSparkError: BudgetError if not even one row is sure to cost less than
    `options.max_cost`, InvokeRefusedError if the model would answer no row.
    """
    return preview_rows(
        *(spark, df, config, options),
        compare=compare,
        names=names,
        on_estimate=on_estimate,
        on_row=on_row,
        observe=observe,
        clock=clock,
    )[0]


def preview_rows(
    spark: SparkSession | Callable[[Config], SparkSession],
    df: DataFrame | None,
    config: AnyConfig,
    options: PreviewOptions | None = None,
    *,
    compare: AnyConfig | None = None,
    names: Sequence[str] = ("config", "other"),
    on_estimate: OnEstimate = ignore_estimates,
    on_row: OnRow = ignore_row,
    observe: Observer = ignore_progress,
    clock: Clock | None = None,
) -> tuple[Preview, FirstRows]:
    """Return what `preview` returns, and the rows as Spark has them."""
    options, clock = options or PreviewOptions(), clock or SystemClock()
    sides, first = open_sides(spark, df, config, options, compare, names, clock)
    for side in sides:
        side.look_up(clock.now())
    estimates = [_estimated(side, observe) for side in sides]
    on_estimate(estimates, sides[0].rendered)
    _ask(sides, options, clock, on_row)
    previews = tuple(
        _previewed(side, estimated, first, options)
        for side, estimated in zip(sides, estimates, strict=True)
    )
    found = Preview(
        key=sides[0].config.source.key,
        where=options.where,
        previews=previews,
        same=_same(previews) if len(previews) > 1 else None,
        unasked=sum(each.outcomes.get(MISSING, 0) for each in previews),
    )
    return found, first


def render(
    spark: SparkSession | Callable[[Config], SparkSession],
    df: DataFrame | None,
    config: AnyConfig,
    options: PreviewOptions | None = None,
    *,
    names: Sequence[str] = ("config",),
    clock: Clock | None = None,
) -> Preview:
    """Return the first rows with their requests. No model is called, and nothing is paid.

    The outcome of a row that is not rejected is `missing`.
    """
    options, clock = options or PreviewOptions(), clock or SystemClock()
    options = replace(options, has_prompts=True, has_whole=False)
    sides, first = open_sides(spark, df, config, options, None, names, clock, is_checked=False)
    side = sides[0]
    for number, row in enumerate(side.rendered, start=1):
        ended = (REJECTED, row.reason) if row.line is None else (MISSING, "not asked: --render")
        side.note(number, AnsweredRow(number=0, row={}, outcome=ended[0], reason=ended[1]), options)
    previewed = _previewed(side, None, first, options)
    return Preview(
        key=side.config.source.key, where=options.where, previews=(previewed,), same=None, unasked=0
    )


def _estimated(side: Side, observe: Observer) -> Estimate:
    bodies = [body for _, body in side.groups()]
    side.tokens = input_tokens_of(side.config, side.aws, bodies, observe)
    return estimate(side.config, side.prices, side.tokens)


def _ask(sides: Sequence[Side], options: PreviewOptions, clock: Clock, on_row: OnRow) -> None:
    """Ask all rows of all sides, a row by both configs before the next one."""

    def note(which: int, number: int, answered: AnsweredRow, shares: int | None = None) -> None:
        on_row(which, sides[which].note(number, answered, options, shares))

    def note_all(question: Question, answered: AnsweredRow) -> None:
        first, *others = question.rows
        note(question.which, first, answered)
        for number in others:
            note(question.which, number, answered, shares=first)

    for which, side in enumerate(sides):
        for number, row in enumerate(side.rendered, start=1):
            if row.line is None:
                rejected = AnsweredRow(number=0, row={}, outcome=REJECTED, reason=row.reason)
                note(which, number, rejected)
    questions = sorted(_questions(sides), key=lambda each: each.rows[0])
    _refuse_too_dear(questions, options.max_cost)
    askers = [_asker(side, options, clock) for side in sides]
    for which, (side, asker) in enumerate(zip(sides, askers, strict=True)):
        for number, row in enumerate(side.rendered, start=1):
            if row.line is not None and (kept := side.kept.get(row.line.body)) is not None:
                note(which, number, asker.read_kept(kept, row.line.body))
    try:
        ask_rows(askers, questions, options.concurrency, options.max_cost, note_all)
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
        longest = max_answer_tokens(side.config.request)
        for (rows, body), tokens in zip(side.groups(), side.tokens, strict=True):
            yield Question(which, rows, body, most_of(side.config, side.prices, tokens, longest))


def _refuse_too_dear(questions: Sequence[Question], limit: Decimal) -> None:
    costs = [each.most for each in questions if each.most is not None]
    if costs and min(costs) > limit:
        raise BudgetError(
            f"preview: one row may cost {small_dollars(min(costs))}, more than --max-cost "
            f"{small_dollars(limit)}, and nothing was asked. Raise it, or set a lower "
            "request.max_tokens"
        )


def _asker(side: Side, options: PreviewOptions, clock: Clock) -> Asker:
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
    return Asker(side.config, caller, *prices, keeper)


def _previewed(
    side: Side, estimated: Estimate | None, first: FirstRows, options: PreviewOptions
) -> Previewed:
    rows = tuple(side.answered[number] for number in sorted(side.answered))
    paid = [row for row in rows if row.shares is None]
    costs = [row.cost for row in paid if row.cost is not None]
    is_asked = any(row.is_paid for row in rows)
    has_price = side.prices.of_canary is not None or side.prices.image is not None
    parse = side.config.results.parse
    whole = _whole(side, first, options, paid) if options.has_whole else None
    return Previewed(
        config=side.name,
        model_id=side.model_id,
        columns=tuple(f.name for f in parse_ddl(parse.columns)) if parse is not None else (),
        estimate=estimated,
        rows=rows,
        outcomes=dict(Counter(row.outcome for row in rows).most_common()),
        input_tokens=sum(row.input_tokens or 0 for row in paid),
        output_tokens=sum(row.output_tokens or 0 for row in paid),
        # An answer of a model that counts no tokens is not free.
        cost=sum(costs, Decimal()) if has_price and (costs or not is_asked) else None,
        whole=whole,
        notes=tuple(notes_of(side, options, estimated, whole)),
    )


def _whole(
    side: Side, first: FirstRows, options: PreviewOptions, paid: Sequence[AnsweredRow]
) -> Whole | None:
    """Return the whole; None if no row was answered."""
    asked = [
        (line.line_bytes, row)
        for row in paid
        if (line := side.rendered[row.number - 1].line) is not None
        and row.outcome not in (ERROR, MISSING)
    ]
    if not asked:
        return None
    from bedrock_spark.spark.errors import stage_errors

    with stage_errors("preview"):
        size = first.size(side.config)
    return whole_of(side.config, size, asked, side.prices)


def notes_of(
    side: Side, options: PreviewOptions, estimated: Estimate | None, whole: Whole | None
) -> Iterator[str]:
    """Yield what the numbers of a preview leave out, and what they do not tell."""
    if estimated is None:
        return
    yield from (str(unknown) for unknown in side.prices.unknown)
    if side.prices.of_canary is None and side.prices.image is None:
        yield f"the on-demand price of {side.model_id} is not known: --max-cost limits nothing"
    elif estimated.high is None:
        yield "request.max_tokens is not set, so nothing bounds the answers and their cost"
    uncounted = sum(row.cost is None and row.is_paid for row in side.answered.values())
    if uncounted and estimated.price is not None:
        yield (
            f"{uncounted:,} calls do not say what they cost: they are not in the sum, and count "
            "against --max-cost as the most that they can cost"
        )
    least = side.config.shards.min_records
    if whole is not None and whole.records < least and side.config.fallback is None:
        yield (
            f"the source has fewer than {least:,} records (shards.min_records), and there is no "
            "fallback: a run would refuse it"
        )
    elif whole is not None:
        rows = "the rows for which --where is true" if options.where else "the first rows"
        yield f"the whole is like {rows} only if its other rows are"


def _same(previews: Sequence[Previewed]) -> int:
    """Return in how many rows both configs have the same answer, of those that have one."""
    pairs = zip(*(each.rows for each in previews), strict=True)
    return sum(is_same(a, b) for a, b in pairs if a.has_answer or b.has_answer)
