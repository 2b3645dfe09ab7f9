"""Preview a config: ask for the answers of its first rows on demand.

Nothing is written, but the answers into the store of answers, if the config has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.outputs.outcomes import MISSING, REJECTED
from bedrock_spark.preview.asking import OnRow, ask_sides, estimated
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.rows import PreviewRows
from bedrock_spark.preview.sides import open_sides
from bedrock_spark.preview.summary import previewed
from bedrock_spark.preview.values import AnsweredRow, Estimate, Preview, Previewed, is_same
from bedrock_spark.progress import Observer, ignore_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.spark.prepare.row_rendering import RenderedRow

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

    spark: a session, or a function that returns one, which is only called if Spark is needed
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
) -> tuple[Preview, PreviewRows]:
    """Return what `preview` returns, and the rows as they were read."""
    options, clock = options or PreviewOptions(), clock or SystemClock()
    sides, first = open_sides(spark, df, config, options, compare, names, clock)
    for side in sides:
        side.look_up(clock.now())
    estimates = [estimated(side, observe) for side in sides]
    on_estimate(estimates, sides[0].rendered)
    ask_sides(sides, options, clock, on_row)
    previews = tuple(
        previewed(side, expected, first, options)
        for side, expected in zip(sides, estimates, strict=True)
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
    one = previewed(side, None, first, options)
    return Preview(
        key=side.config.source.key, where=options.where, previews=(one,), same=None, unasked=0
    )


def _same(previews: Sequence[Previewed]) -> int:
    """Return in how many rows both configs have the same answer, of those that have one."""
    pairs = zip(*(each.rows for each in previews), strict=True)
    return sum(is_same(a, b) for a, b in pairs if a.has_answer or b.has_answer)
