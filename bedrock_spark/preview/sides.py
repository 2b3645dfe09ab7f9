"""The configs of a preview, each with its rendering of the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import check_config, list_prices
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.costs.call_bound import CallBound
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.rows import PreviewRows, rows_by_spark, use_rows
from bedrock_spark.preview.values import AnsweredRow
from bedrock_spark.prices import RunPrices
from bedrock_spark.run_folder.run import without_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.invoke.kept_calls import KeptCall
    from bedrock_spark.spark.prepare.row_rendering import RenderedRow


@dataclass
class Side:
    """One config, and its rows as far as they are answered, by number.

    kept: the answers of the store, by body; they are not asked
    bounds: what each request uses at most, in the order of `groups`
    wanted: the numbers of the rows to ask; None for all
    """

    name: str
    config: Config
    aws: AwsSettings
    prices: RunPrices
    rendered: list[RenderedRow] = field(default_factory=list)
    answered: dict[int, AnsweredRow] = field(default_factory=dict)
    bounds: list[CallBound] = field(default_factory=list)
    kept: dict[bytes, KeptCall] = field(default_factory=dict)
    wanted: frozenset[int] | None = None

    @property
    def model_id(self) -> str:
        """Return the model that single calls go to."""
        return self.config.canary.model_id or self.config.model.id

    def note(
        self,
        number: int,
        answered: AnsweredRow,
        options: PreviewOptions,
        shares: int | None = None,
    ) -> AnsweredRow:
        """Keep the answer of a row, and return it with the row.

        shares: the number of the row that was asked, if this one has an equal body
        """
        rendered = self.rendered[number - 1]
        values: dict[str, Any] = {"number": number, "row": rendered.row, "shares": shares}
        if options.has_prompts and rendered.line is not None:
            values["request"] = json.loads(rendered.line.body)
        if shares is not None:
            values |= {"cost": None if answered.cost is None else Decimal(), "seconds": None}
        self.answered[number] = answered.model_copy(update=values)
        return self.answered[number]

    def look_up(self, now: float) -> None:
        """Look the bodies up in the store of answers, if the config reads one."""
        from bedrock_spark.invoke.kept_calls import find_kept

        bodies = (row.line.body for row in self.rendered if row.line is not None)
        self.kept = find_kept(self.config, self.aws, bodies, now)

    def wanted_rows(self) -> Iterator[tuple[int, RenderedRow]]:
        """Yield the rows to ask, with their numbers."""
        for number, row in enumerate(self.rendered, start=1):
            if self.wanted is None or number in self.wanted:
                yield number, row

    def groups(self) -> list[tuple[tuple[int, ...], bytes]]:
        """Return the bodies to ask, each with the numbers of the rows that get its answer.

        Those whose answer is kept are not asked.
        """
        found: dict[tuple[int, bytes], tuple[int, ...]] = {}
        is_shared = self.config.shares_records
        for number, row in self.wanted_rows():
            if row.line is not None and row.line.body not in self.kept:
                key = (0 if is_shared else number, row.line.body)
                found[key] = (*found.get(key, ()), number)
        return [(rows, body) for (_, body), rows in found.items()]


def side_of(name: str, config: Config, clock: Clock) -> Side:
    """Return the side of a config that was checked. Its rows are not rendered yet."""
    known, aws = without_folder(config, clock)
    return Side(name, known, aws, list_prices(known))


def open_sides(
    spark: SparkSession | Callable[[Config], SparkSession],
    df: DataFrame | None,
    config: AnyConfig,
    options: PreviewOptions,
    compare: AnyConfig | None,
    names: Sequence[str],
    clock: Clock,
    *,
    is_checked: bool = True,
) -> tuple[list[Side], PreviewRows]:
    """Check the configs, read the first rows, and render them by each config.

    spark: a function that returns a session is only called if Spark is needed
    """
    configs = [check_config(each) for each in (config, compare) if each is not None]
    # The rows of both sides are the same: those of the first config.
    same = [each.model_copy(update={"source": configs[0].source}) for each in configs]
    sides = [side_of(name, each, clock) for name, each in zip(names, same, strict=False)]
    own, choice = sides[0], options.choice_of(configs[0])

    def render(rows: PreviewRows) -> None:
        for side in sides:
            side.rendered = rows.rendered(side.config, is_checked=is_checked)

    if df is None and callable(spark):
        return sides, use_rows(own.config, own.aws, choice, render, lambda _: spark(configs[0]))
    session = spark(configs[0]) if callable(spark) else spark
    rows = rows_by_spark(session, own.config, own.aws, choice, df)
    render(rows)
    return sides, rows
