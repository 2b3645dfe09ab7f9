"""What is compared: the columns, and where each table has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from bedrock_spark.outputs.outcomes import BEST_FIRST, ERROR, MISSING, REJECTED, UNFOUND

if TYPE_CHECKING:
    from bedrock_spark.pairs.conditions import Condition

# An outcome is counted by its place in this list.
OUTCOMES = (*BEST_FIRST, ERROR, MISSING, UNFOUND, REJECTED)
# The codes of rows without an outcome that is known here, and of rows without a key.
OTHER, WITHOUT_KEY = len(OUTCOMES), len(OUTCOMES) + 1


class Place(IntEnum):
    """Which table a row is of: the first run, the second one, or the true values."""

    A = 0
    B = 1
    GOLD = 2


@dataclass(frozen=True)
class Column:
    """A column that is compared.

    names: its name in each table, by `Place`; None if the table does not have it
    is_number: numbers are compared as numbers, and differences are measured
    is_measure: it says something of the row, such as its tokens: only its numbers are added up, and
        also those of rows that are not ok
    """

    name: str
    names: tuple[str | None, str | None, str | None]
    is_number: bool = False
    is_measure: bool = False


@dataclass(frozen=True)
class Side:
    """A table as it is read.

    key: the columns of the key, in the order of the other tables
    outcome, record_id: the columns with them; None if the table has true values: then every row is
        ok, and rows with one key and one value are the same
    columns: what is compared, the same in all tables
    where: which rows count; None for all
    """

    place: Place
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    outcome: str | None = None
    record_id: str | None = None
    where: Condition | None = None

    @property
    def read(self) -> list[str]:
        """Return the names of the columns that are read: those that are needed, and of `where`."""
        chosen = self.where.needed if self.where is not None else []
        return list(dict.fromkeys([*self.needed, *chosen]))

    @property
    def needed(self) -> list[str]:
        """Return the names of the columns that are paired and compared, each once."""
        compared = [column.names[self.place] for column in self.columns]
        names = (*self.key, self.outcome, self.record_id, *compared)
        return list(dict.fromkeys(name for name in names if name is not None))
