"""What a preview asks, and how."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.config.row_choice import RowChoice

ROWS, CONCURRENCY, MAX_COST = 20, 5, Decimal(1)


@dataclass(frozen=True)
class PreviewOptions:
    """What to ask.

    rows: how many; where: a condition of Spark SQL on the columns, which chooses them
    max_cost: dollars; concurrency: calls at a time
    named: what notes call the rows; None for the first rows, or those of `where`
    limit_name: what messages call the limit
    has_prompts: whether the bodies are kept; has_whole: whether the whole is estimated
    """

    rows: int = ROWS
    where: str | None = None
    max_cost: Decimal = MAX_COST
    concurrency: int = CONCURRENCY
    has_prompts: bool = False
    has_whole: bool = True
    limit_name: str = "--max-cost"
    named: str | None = None

    @property
    def choice(self) -> RowChoice:
        """Return which rows are asked."""
        return RowChoice(self.rows, self.where)

    @property
    def rows_name(self) -> str:
        """Return what notes call the rows."""
        where = "the rows for which --where is true" if self.where else "the first rows"
        return self.named or where
