"""The configs of a preview, each with its rendering of the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import check_config, list_prices
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.preview.values import AnsweredRow
from bedrock_spark.prices import RunPrices
from bedrock_spark.run_folder.run import without_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from bedrock_spark.invoke.kept_calls import KeptCall
    from bedrock_spark.spark.prepare.first_rows import FirstRows, RenderedRow


@dataclass
class Side:
    """One config, and its rows as far as they are answered, by number.

    kept: the answers of the store, by body
    """

    name: str
    config: Config
    aws: AwsSettings
    prices: RunPrices
    rendered: list[RenderedRow] = field(default_factory=list)
    answered: dict[int, AnsweredRow] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    kept: dict[bytes, KeptCall] = field(default_factory=dict)

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

    def groups(self) -> list[tuple[tuple[int, ...], bytes]]:
        """Return the bodies to ask, each with the numbers of the rows that get its answer.

        Those whose answer is kept are not asked.
        """
        found: dict[tuple[int, bytes], tuple[int, ...]] = {}
        is_shared = self.config.shares_records
        for number, row in enumerate(self.rendered, start=1):
            if row.line is not None and row.line.body not in self.kept:
                key = (0 if is_shared else number, row.line.body)
                found[key] = (*found.get(key, ()), number)
        return [(rows, body) for (_, body), rows in found.items()]


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
) -> tuple[list[Side], FirstRows]:
    """Check the configs, read the first rows, and render them by each config."""
    configs = [check_config(each) for each in (config, compare) if each is not None]
    # The rows of both sides are the same: those of the first config.
    same = [each.model_copy(update={"source": configs[0].source}) for each in configs]
    sides = []
    for name, each in zip(names, same, strict=False):
        known, aws = without_folder(each, clock)
        sides.append(Side(name, known, aws, list_prices(known)))
    from bedrock_spark.spark.errors import stage_errors
    from bedrock_spark.spark.prepare.first_rows import read_first_rows

    session = spark(configs[0]) if callable(spark) else spark
    own = sides[0]
    with stage_errors("preview"):
        first = read_first_rows(session, own.config, own.aws, df, options.rows, options.where)
        for side in sides:
            side.rendered = first.rendered(side.config, is_checked=is_checked)
    return sides, first
