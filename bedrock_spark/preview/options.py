"""What a preview asks, and how."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice, keys_of_lines

ROWS, CONCURRENCY, MAX_COST = 20, 5, Decimal(1)


@dataclass(frozen=True)
class PreviewOptions:
    """What to ask.

    rows: how many; where: a condition of Spark SQL on the columns, which chooses them
    seed: of rows at random; None for the first ones
    keys: of the rows, instead: each the values of `source.key`, with tabs between them
    max_cost: dollars; concurrency: calls at a time
    named: what notes call the rows; None for what they are by the options
    limit_name: what messages call the limit
    has_prompts: whether the bodies are kept; has_whole: whether the whole is estimated
    """

    rows: int = ROWS
    where: str | None = None
    seed: int | None = None
    keys: tuple[str, ...] = ()
    max_cost: Decimal = MAX_COST
    concurrency: int = CONCURRENCY
    has_prompts: bool = False
    has_whole: bool = True
    limit_name: str = "--max-cost"
    named: str | None = None

    def choice_of(self, config: Config) -> RowChoice:
        """Return which rows are asked. Raises ConfigError if they are no keys of its source."""
        keys = keys_of_lines(self.keys, config.source.key)
        return RowChoice(len(keys) or self.rows, self.where, self.seed, keys)

    @property
    def rows_name(self) -> str:
        """Return what notes call the rows."""
        if self.named is not None:
            return self.named
        if self.keys:
            return "the rows with these keys"
        rows = "the first rows" if self.seed is None else "the rows at random"
        return f"{rows} for which --where is true" if self.where else rows
